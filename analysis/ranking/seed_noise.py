"""How much two scores of one recipe may differ by random seed alone, from trainings with several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from analysis.ranking.order import Ranking
from analysis.ranking.trial import RankedTrial
from analysis.statistics.significance import CONFIDENCE
from ichtune.json_text import read_json_lines
from ichtune.runs.fold_scores import by_seed
from ichtune.runs.folder import RERUNS, RunFolder


def reruns(run: RunFolder) -> list[dict[str, Any]]:
    """The trainings of `--seeds`, as kept in the run's folder, diverged ones included.

    Each has `trial`, `seed`, and the `mean` metrics.
    """
    file = run.path / RERUNS
    return read_json_lines(file) if file.is_file() else []


@dataclass(frozen=True)
class SeedNoise:
    """The scores of recipes by training seed: those of the search's own repeats, or else those of reruns."""

    scores: pd.DataFrame
    """One row per training: `run` and `trial` (names), and its `score`; NaN if undefined."""
    averaged: int = 1
    """How many seeds a ranked score is the mean over."""

    @classmethod
    def of(cls, ranking: Ranking) -> "SeedNoise":
        """The scores by the metric that a ranking ranks by."""
        metric, averaged = ranking.metric, ranking.validation.seeds
        if averaged > 1:
            rows = [
                (trial.run.name, trial.name, score)
                for trial in ranking.trials
                if not trial.diverged
                for score in by_seed(trial.scores.folds[metric], averaged)
            ]
        else:
            rows = [
                (run.name, record["trial"], record["mean"][metric])
                for run in ranking.runs
                if run not in ranking.cut  # whose reruns were scored on other folds, too
                for record in reruns(run)
            ]
        return cls(pd.DataFrame(rows, columns=["run", "trial", "score"]), averaged)

    def table(self, trials: Sequence[RankedTrial]) -> pd.DataFrame:
        """`seeds`, `seed_mean` and `seed_std`, one row per trial; NaN for those without other seeds."""
        keys = pd.MultiIndex.from_tuples([(trial.run.name, trial.name) for trial in trials])
        return self._by_recipe.reindex(keys).reset_index(drop=True)

    @property
    def _by_recipe(self) -> pd.DataFrame:
        scores = self.scores.dropna().groupby(["run", "trial"])["score"]
        return pd.DataFrame({"seeds": scores.count(), "seed_mean": scores.mean(), "seed_std": scores.std()})

    @property
    def variance(self) -> tuple[float, int]:
        """The variance of a ranked score by random seed, pooled over recipes, and its degrees of freedom.

        All recipes share the same seeds, so the degrees of freedom are the number of seeds minus one. NaN and 0 if no
        recipe has two seeds.
        """
        known = self._by_recipe.dropna()
        if known.empty:
            return float("nan"), 0
        weights = known["seeds"] - 1
        of_one = float((weights * known["seed_std"] ** 2).sum() / weights.sum())
        return of_one / self.averaged, int(weights.max())

    @property
    def floor(self) -> float:
        """The difference between two scores of one recipe that random seeds alone exceed only 5 times in 100.

        Computed from the pooled `variance` with Student's t; NaN if that is unknown.
        """
        variance, degrees = self.variance
        return (
            float(t.ppf(0.5 + CONFIDENCE / 2, degrees) * np.sqrt(2 * variance)) if degrees else float("nan")
        )

    @property
    def two(self) -> str:
        """What the floor is about, in words."""
        if self.averaged == 1:
            return "two trainings of one recipe"
        return f"two scores of one recipe, each the mean over {self.averaged} seeds,"
