"""The hyperparameters that vary in a search, and each trial's value of one as a position on an axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ichtune.space import Dimension
from ichtune.space.distributions import Range
from ichtune.wording import plain

if TYPE_CHECKING:
    from analysis.ranking.trial import RankedTrial

FEW = 6
"""Ranges with at most this many values are drawn as categories."""


@dataclass(frozen=True)
class Knob:
    """A hyperparameter drawn along an axis of numbers, or of categories at 0, 1, 2, ..."""

    name: str
    categories: tuple[Any, ...]
    """Empty for a numeric axis."""
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    @classmethod
    def of(cls, dimension: Dimension) -> "Knob":
        values = dimension.distribution
        if not isinstance(values, Range):
            return cls(dimension.name, values.labels)
        if values.count is not None and values.count <= FEW:
            return cls(dimension.name, tuple(values.values()))
        return cls(dimension.name, (), values.low, values.high, values.log)

    @cached_property
    def labels(self) -> list[str]:
        return [plain(category) for category in self.categories]

    def place(self, value: Any) -> float:
        """The position of a value on the axis; NaN if it isn't on it."""
        if not self.categories:
            return float(value)
        shown = plain(value)
        return float(self.labels.index(shown)) if shown in self.labels else np.nan

    def places(self, trials: Sequence["RankedTrial"]) -> np.ndarray:
        """The trials' positions `[T]`; NaN for trials whose branch lacks this hyperparameter."""
        return np.array(
            [
                self.place(trial.record.params[self.name]) if self.name in trial.record.params else np.nan
                for trial in trials
            ]
        )


def varying(dimensions: Sequence[Dimension], trials: Sequence["RankedTrial"]) -> list[Knob]:
    """The hyperparameters that differ between trials, in recipe order, each branch's own after the choice of branch."""
    knobs = [Knob.of(dimension) for dimension in dimensions]
    return [knob for knob in knobs if len({repr(trial.record.params.get(knob.name)) for trial in trials}) > 1]
