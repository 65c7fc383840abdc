"""The hyperparameters that differ between a search's trials, and each trial's value of one as a place on an axis."""

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
"""A range of so many values is drawn as categories."""


@dataclass(frozen=True)
class Knob:
    """A hyperparameter, drawn along an axis of numbers or of categories (which stand at 0, 1, 2, ...)."""

    name: str
    categories: tuple[Any, ...]
    """Empty for numbers."""
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
        """Where a value stands on the axis; NaN where the axis doesn't have it."""
        if not self.categories:
            return float(value)
        shown = plain(value)
        return float(self.labels.index(shown)) if shown in self.labels else np.nan

    def places(self, trials: Sequence["RankedTrial"]) -> np.ndarray:
        """The trials' places `[T]`; NaN for trials whose branch lacks this hyperparameter."""
        return np.array(
            [
                self.place(trial.record.params[self.name]) if self.name in trial.record.params else np.nan
                for trial in trials
            ]
        )


def varying(dimensions: Sequence[Dimension], trials: Sequence["RankedTrial"]) -> list[Knob]:
    """What differs between trials, in the recipe's order, a branch's own after the choice of the branch."""
    knobs = [Knob.of(dimension) for dimension in dimensions]
    return [knob for knob in knobs if len({repr(trial.record.params.get(knob.name)) for trial in trials}) > 1]
