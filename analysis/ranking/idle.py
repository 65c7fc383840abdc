"""Settings that had no effect, as the trials' own records show."""

from collections.abc import Callable, Sequence

import numpy as np

from analysis.ranking.differences import recipe_differences
from analysis.ranking.trial import RankedTrial
from ichtune.recipe import Constant, Recipe, Schedule, effective, phases_of, recipe_hash
from ichtune.runs.records import EpochRecord


def idle_knobs(trials: Sequence[RankedTrial]) -> list[str]:
    """The settings of each trial that had no effect, in words; empty if none are known.

    - The schedule never stepped: the logged learning rate is the same in every epoch of every fold.
    - Oversampling drew the same mix of classes as plain shuffling.
    - Another trial has the same recipe except for its seed, under another name or spelling.
    - Another recipe trained identically: all its training losses are the same numbers.
    """
    recipes = [trial.record.recipe for trial in trials]
    notes = zip(
        map(_schedule, trials, recipes),
        _sampler(trials, recipes),
        _same_recipe(trials, recipes),
        _same_training(trials, recipes),
        strict=True,
    )
    return ["; ".join(filter(None, of_trial)) for of_trial in notes]


def _schedule(trial: RankedTrial, recipe: Recipe) -> str:
    if trial.diverged:
        return ""
    begins = np.cumsum([0, *(phase.epochs for phase in phases_of(recipe))])
    notes = [
        _unstepped(phase.schedule, trial.record.epochs[begin : begin + phase.epochs])
        for begin, phase in zip(begins, phases_of(recipe), strict=False)
    ]
    named = [
        f"phase {number}: {note}" if recipe.phases else note for number, note in enumerate(notes, 1) if note
    ]
    return "; ".join(named)


def _unstepped(schedule: Schedule, epochs: Sequence[EpochRecord]) -> str:
    if isinstance(schedule, Constant) or len(epochs) < 2:
        return ""
    rates = {rate for epoch in epochs for rate in (*epoch.lr, *epoch.mean_lr)}
    lowest, highest = min(rates), max(rates)
    if highest - lowest > 1e-9 * highest:
        return ""
    return f"{schedule.name} never stepped in {len(epochs)} epochs: the rate stayed {highest:.3g}"


def _sampler(trials: Sequence[RankedTrial], recipes: Sequence[Recipe]) -> list[str]:
    mixes = [np.array(trial.record.epochs[0].class_mix) for trial in trials]
    plain: dict[int, np.ndarray] = {}
    """The mix of plain shuffling by the number of folds, as runs that are compared may differ in it."""
    for mix, recipe in zip(mixes, recipes, strict=True):
        if recipe.sampler == "shuffle":
            plain.setdefault(len(mix), mix)
    return [
        "oversampling drew the classes as they are"
        if recipe.sampler == "oversample"
        and len(mix) in plain
        and np.allclose(mix, plain[len(mix)], 1e-9, equal_nan=True)
        else ""
        for mix, recipe in zip(mixes, recipes, strict=True)
    ]


def _same_recipe(trials: Sequence[RankedTrial], recipes: Sequence[Recipe]) -> list[str]:
    seedless = [
        recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": 0})})
        for recipe in recipes
    ]
    return _twins(
        trials, [recipe_hash(recipe) for recipe in seedless], lambda _, name: f"the recipe of {name}"
    )


def _same_training(trials: Sequence[RankedTrial], recipes: Sequence[Recipe]) -> list[str]:
    losses = [[epoch.folds["train_loss"] for epoch in trial.record.epochs] for trial in trials]
    begins = ["" if trial.diverged else repr(of[0]) for trial, of in zip(trials, losses, strict=True)]

    def say(pair: tuple[int, int], name: str) -> str:
        common = min(len(losses[index]) for index in pair)
        changes = recipe_differences(effective(recipes[pair[1]]), effective(recipes[pair[0]]))
        if not changes or losses[pair[0]][:common] != losses[pair[1]][:common]:
            return ""
        return f"trained exactly as {name}: {', '.join(change.what for change in changes)} did nothing"

    return _twins(trials, begins, say)


def _twins(
    trials: Sequence[RankedTrial], keys: Sequence[str], say: Callable[[tuple[int, int], str], str]
) -> list[str]:
    """A note for each trial that shares its key with an earlier one: `say((trial, other), name)`; "" never matches."""
    first: dict[str, int] = {}
    notes = []
    for index, key in enumerate(keys):
        other = first.setdefault(key, index) if key else index
        notes.append(say((index, other), trials[other].name) if other != index else "")
    return notes
