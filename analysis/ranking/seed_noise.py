"""How much two trials may differ by random seed alone, from reruns with other seeds."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from analysis.statistics.significance import CONFIDENCE
from ichtune.json_text import read_json_lines
from ichtune.runs.folder import RunFolder

FILE = "seeds.jsonl"


@dataclass(frozen=True)
class SeedNoise:
    """The scores of a run's trials retrained with other random seeds, as kept in its folder."""

    run: RunFolder

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """One record per training, diverged ones included: `trial`, `seed`, and the `mean` metrics."""
        file = self.run.path / FILE
        return read_json_lines(file) if file.is_file() else []

    def table(self, metric: str) -> pd.DataFrame:
        """One row per trial name: `seeds`, `seed_mean` and `seed_std` of the metric."""
        frame = pd.DataFrame(
            [(r["trial"], r["mean"][metric]) for r in self.records], columns=["trial", "score"]
        )
        scores = frame.dropna().groupby("trial")["score"]
        return pd.DataFrame({"seeds": scores.count(), "seed_mean": scores.mean(), "seed_std": scores.std()})

    def variance(self, metric: str) -> tuple[float, int]:
        """The variance of a recipe's score by random seed, pooled over recipes, and its degrees of freedom.

        All recipes share the same seeds, so the degrees of freedom are the number of seeds minus one. NaN and 0 if no
        recipe has two seeds.
        """
        known = self.table(metric).dropna()
        if known.empty:
            return float("nan"), 0
        weights = known["seeds"] - 1
        return float((weights * known["seed_std"] ** 2).sum() / weights.sum()), int(weights.max())

    def floor(self, metric: str) -> float:
        """The difference between two trainings of one recipe that random seeds alone exceed only 5 times in 100.

        Computed from the pooled `variance` with Student's t; NaN if that is unknown.
        """
        variance, degrees = self.variance(metric)
        return (
            float(t.ppf(0.5 + CONFIDENCE / 2, degrees) * np.sqrt(2 * variance)) if degrees else float("nan")
        )
