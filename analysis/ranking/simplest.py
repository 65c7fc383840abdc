"""The simplest of several recipes: the one with the fewest changes to the baseline."""

from collections.abc import Sequence
from typing import NamedTuple

from analysis.ranking.differences import recipe_differences
from analysis.ranking.trial import RankedTrial
from ichtune.recipe import effective
from ichtune.space.points import BASELINE


class Simplest(NamedTuple):
    """A trial, and in how many settings it differs from the baseline."""

    trial: RankedTrial
    changes: int

    def __str__(self) -> str:
        name, changes = self.trial.short_name, self.changes
        if not changes:
            return "the baseline itself"
        return f"{name}, with {changes} {'change' if changes == 1 else 'changes'} to the baseline"


def simplest(trials: Sequence[RankedTrial], places: Sequence[int]) -> Simplest | None:
    """Of the trials at these places, the one with the fewest changes to the baseline, and of these the best.

    Settings without effect and seeds don't count. None without a baseline or without places.
    """
    baseline = next((trial for trial in trials if trial.record.point == BASELINE), None)
    if baseline is None or not places:
        return None
    before = effective(baseline.record.recipe)
    counted = []
    for place in places:
        differences = recipe_differences(before, effective(trials[place].record.recipe))
        changes = sum(difference.what != "training.seed" for difference in differences)
        counted.append((changes, place))
    changes, place = min(counted)
    return Simplest(trials[place], changes)
