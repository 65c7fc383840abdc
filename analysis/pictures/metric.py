"""The score that a search optimized, as shown in pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from analysis.pictures.words import number
from ichtune.metric_names import in_words, named

if TYPE_CHECKING:
    from analysis.ranking.trial import RankedTrial

WIDE = 30
"""Losses are drawn on a logarithmic axis if the largest is more than this many times the smallest."""


@dataclass(frozen=True)
class Metric:
    """A metric and whether higher is better."""

    name: str
    maximised: bool

    @classmethod
    def of(cls, trials: Sequence["RankedTrial"]) -> "Metric":
        return cls(trials[0].metric, trials[0].maximised)

    @property
    def words(self) -> str:
        """`macro AUC`, `AUC of subdural`, `weighted log loss`."""
        found, label = named(self.name)
        return f"macro {in_words(self.name)}" if found.averaged and not label else in_words(self.name)

    def score(self, trial: "RankedTrial") -> float:
        """A trial's score; NaN if it diverged or never had one."""
        return trial.score if not trial.diverged and np.isfinite(trial.score) else np.nan

    def scores(self, trials: Sequence["RankedTrial"]) -> np.ndarray:
        return np.array([self.score(trial) for trial in trials])

    def values(self, trial: "RankedTrial") -> np.ndarray:
        """The score at each epoch; NaN if undefined."""
        return np.array([epoch.mean[self.name] for epoch in trial.record.epochs])

    def best_so_far(self, scores: np.ndarray) -> np.ndarray:
        """The best score up to each one; NaN before the first defined one."""
        return np.fmax.accumulate(scores) if self.maximised else np.fmin.accumulate(scores)

    def goodness(self, scores: np.ndarray) -> np.ndarray:
        """Scores scaled from 0 (worst) to 1 (best), on the axis's scale."""
        values = np.log(scores) if self.is_wide(scores) else scores
        low, high = np.nanmin(values), np.nanmax(values)
        share = (values - low) / (high - low) if high > low else np.where(np.isnan(values), np.nan, 1.0)
        return share if self.maximised or high == low else 1 - share

    def is_wide(self, scores: np.ndarray) -> bool:
        """Whether the scores need a logarithmic axis, as losses over several decades do."""
        known = scores[np.isfinite(scores)]
        return bool(
            not self.maximised and len(known) and known.min() > 0 and known.max() > WIDE * known.min()
        )

    def scale(self, axis: Axis, scores: Any) -> None:
        """Give an axis the scale that suits these scores."""
        known = np.asarray(scores, float)
        if self.is_wide(known):
            logarithmic(axis, np.nanmin(known), np.nanmax(known))


def logarithmic(axis: Axis, low: float, high: float) -> None:
    """Make an axis logarithmic, with plain numbers."""
    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")  # ty: ignore[missing-attribute]
    axis.set_major_locator(LogLocator(subs=(1,) if high >= 100 * low else (1, 2, 5), numticks=6))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
