"""One change at a time: the trials that differ from the baseline in a single setting."""

from collections.abc import Sequence
from typing import Final

from analysis.ranking.differences import Difference, recipe_differences
from analysis.ranking.trial import RankedTrial
from ichtune.recipe import effective
from ichtune.space.points import BASELINE

Ablation = list[tuple[RankedTrial, str]]
"""The baseline and each trial that differs from it in one setting, each with the change in words."""

_WHOLE: Final = ("loss", "optimizer", "schedule")
"""Sections in which switching to another kind, with all its own values, counts as one change."""


def ablations(trials: Sequence[RankedTrial]) -> Ablation:
    """The baseline and each trial that differs from it in one setting, with the change in words; empty without one."""
    baseline = next((trial for trial in trials if trial.record.point == BASELINE), None)
    if baseline is None:
        return []
    before = effective(baseline.record.recipe)
    changed = []
    for trial in trials:
        change = _one_change(recipe_differences(before, effective(trial.record.recipe)))
        if change and trial.run is baseline.run:
            changed.append((trial, change))
    return [(baseline, BASELINE), *changed]


def finalists(best: RankedTrial, ablation: Ablation) -> list[RankedTrial]:
    """The trials to score on the test set: the best one, the baseline, and those that differ from it by one change."""
    return list({trial.name: trial for trial in (best, *(trial for trial, _ in ablation))}.values())


def _one_change(differences: list[Difference]) -> str:
    """The change in words if it is a single one, otherwise an empty string."""
    if len(differences) == 1:
        return str(differences[0])
    sections = {difference.what.partition(".")[0] for difference in differences}
    kinds = [difference for difference in differences if difference.what.endswith(".name")]
    if len(sections) != 1 or not kinds or not sections <= set(_WHOLE):
        return ""
    values = [
        difference
        for difference in differences
        if difference not in kinds and difference.retrained is not None
    ]
    return ", ".join([str(kinds[0]), *(f"{value.what} {value.change.split(' -> ')[1]}" for value in values)])
