"""How much of a difference between two trials is the seed's doing, from what was trained again with other seeds."""

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
    """What trials of a run scored when they were trained again with other seeds, as its folder holds it."""

    run: RunFolder

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """Of each training `trial`, `seed`, and the `mean` metrics of its best epoch; those that diverged too."""
        file = self.run.path / FILE
        return read_json_lines(file) if file.is_file() else []

    def table(self, metric: str) -> pd.DataFrame:
        """A row a trial by its name: `seeds`, `seed_mean` and `seed_std` of the metric."""
        frame = pd.DataFrame(
            [(r["trial"], r["mean"][metric]) for r in self.records], columns=["trial", "score"]
        )
        scores = frame.dropna().groupby("trial")["score"]
        return pd.DataFrame({"seeds": scores.count(), "seed_mean": scores.mean(), "seed_std": scores.std()})

    def floor(self, metric: str) -> float:
        """The difference that two trainings of one recipe with different seeds stay below 95 times in 100.

        From the deviations pooled over the recipes, by Student's t. All recipes are trained with the same seeds, whose
        luck they share: degrees of freedom are the seeds, less one. NaN where no recipe has two seeds.
        """
        known = self.table(metric).dropna()
        if known.empty:
            return float("nan")
        weights = known["seeds"] - 1
        variance = (weights * known["seed_std"] ** 2).sum() / weights.sum()
        return float(t.ppf(0.5 + CONFIDENCE / 2, weights.max()) * np.sqrt(2 * variance))
