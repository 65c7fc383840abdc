"""A search's trials as points of its space, branch by branch: the input of importance and effects."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from analysis.ranking.order import Ranking
from analysis.ranking.trial import RankedTrial
from ichtune.space import Space
from ichtune.space.distributions import Choice, Range, Scalar
from ichtune.space.walks import Dimension, Params, named

FEWEST = 20
"""Branches with fewer trials are refused.

In simulated searches of 10 trials, the learning rate, which drives almost everything within an optimizer's branch, was
not above chance in three of ten; with 15 trials in one of five; with 20 in one of fifty. Across all trials, a
parameter without effect ranked above both its chance level and the loss in one of ten searches of 15 trials, one of
fifteen of 20, and none of 60.
"""
MIDDLE = 0.5


class Own(NamedTuple):
    """A hyperparameter that belongs to a branch itself and varies there."""

    column: int
    dimension: Dimension
    values: list[Any]
    """One value per trial."""


@dataclass(frozen=True)
class Branch:
    """The trials that chose the same options, as points of the unit cube, with their scores at a common epoch."""

    when: str
    """The condition, e.g. `optimizer is adam`; empty for all trials."""
    points: np.ndarray
    """`[T, C]`: one column for everything that varies here, each value placed within its own range.

    Parameters that the options of a choice have in common (each optimizer's learning rate) share a column; trials
    without the parameter are placed in the middle. Without the learning rate among all trials, its effect would be
    noise that buries the others: in simulated searches of 60 trials, a parameter without effect then ranked above the
    loss in one of four and above the optimizer in one of two; with these columns in none, and in one of seven.
    """
    scores: np.ndarray
    """`[T]`"""
    own: list[Own]

    @property
    def refusal(self) -> str | None:
        """Why the branch supports no analysis, in words; None if it does."""
        where, count = self.when or "all trials", len(self.scores)
        if count < FEWEST:
            return (
                f"{where}: {count} trials with a score; importance and effects are unreliable below {FEWEST}"
            )
        if np.ptp(self.scores) == 0:
            return f"{where}: all {count} score the same, so nothing has an effect"
        return None if self.own else f"{where}: no hyperparameter varies"


@dataclass(frozen=True)
class Rung:
    """A run's trials at the first epoch at which ASHA compares them, where all are scored alike; at their last epoch if
    their recipe has fewer."""

    epoch: int
    space: Space
    trials: list[RankedTrial]
    scores: np.ndarray
    left_out: int
    """Trials that diverged or ended before that epoch, or have no defined score."""

    @classmethod
    def of(cls, ranking: Ranking) -> "Rung":
        # By number: random forests sample trials by position, which must not depend on the scores.
        run = ranking.run
        own = (trial for trial in ranking.trials if trial.run is run)
        trials = sorted(own, key=lambda trial: trial.record.number)
        longest = max(trial.record.recipe.training.epochs for trial in trials)
        epoch = min(run.request.settings.grace, longest)
        scores = [_score_at(min(epoch, trial.record.recipe.training.epochs), trial) for trial in trials]
        scored = [(trial, score) for trial, score in zip(trials, scores, strict=True) if score is not None]
        return cls(
            epoch,
            run.request.space,
            [trial for trial, _ in scored],
            np.array([score for _, score in scored]),
            len(trials) - len(scored),
        )

    @cached_property
    def branches(self) -> list[Branch]:
        """All trials together, then those of each option that has hyperparameters of its own."""
        return branches_of(self.space, [trial.record.params for trial in self.trials], self.scores)

    @property
    def notes(self) -> list[str]:
        """Notes on how to read importance and effects: the epoch, and the trials and branches left out."""
        shorter = any(trial.record.recipe.training.epochs < self.epoch for trial in self.trials)
        beside = (
            "or at the last epoch of trainings that are shorter"
            if shorter
            else "which all trials have in common"
        )
        found = [f"scores at epoch {self.epoch}, {beside}"]
        if self.left_out:
            count = self.left_out + len(self.trials)
            found.append(f"{self.left_out} of {count} trials have no score at that epoch and are left out")
        return found + [branch.refusal for branch in self.branches if branch.refusal]


def branches_of(space: Space, params: list[Params], scores: np.ndarray) -> list[Branch]:
    """The branches of these parameters, one score each; parameters outside the space are ignored."""
    columns = list(dict.fromkeys(map(_column, space.dimensions)))
    points = np.full((len(params), len(columns)), MIDDLE)
    for dimension in space.dimensions:
        column = columns.index(_column(dimension))
        for row, trial in enumerate(params):
            if dimension.name in trial:
                points[row, column] = place(dimension.distribution, trial[dimension.name])
    found = []
    for condition in dict.fromkeys(dimension.condition for dimension in space.dimensions):
        rows = [row for row, trial in enumerate(params) if _holds(condition, trial)]
        varying = [column for column in range(len(columns)) if len(set(points[rows, column])) > 1]
        here = [dimension for dimension in space.dimensions if dimension.condition == condition]
        own = {columns.index(_column(dimension)): dimension for dimension in here}
        found.append(
            Branch(
                when=here[0].when,
                points=points[np.ix_(rows, varying)],
                scores=scores[rows],
                own=[
                    Own(place, own[column], [params[row][own[column].name] for row in rows])
                    for place, column in enumerate(varying)
                    if column in own
                ],
            )
        )
    return found


def place(distribution: Range | Choice, value: Any) -> float:
    """The position of a value between 0 and 1, with equal room for each option and each ratio of a log range."""
    if isinstance(distribution, Choice):
        return (distribution.labels.index(value) + 0.5) / len(distribution.labels)
    room = (distribution.step or 0) / 2
    ends = (distribution.low - room, float(value), distribution.high + room)
    low, at, high = map(math.log, ends) if distribution.log else ends
    return (at - low) / (high - low)


def _score_at(epoch: int, trial: RankedTrial) -> float | None:
    """The trial's score at its best epochs up to this one; None if there is none."""
    until = [record for record in trial.record.epochs if record.epoch <= epoch]
    if until[-1].epoch < epoch or any(record.diverged for record in until):
        return None
    best = trial.scores_of(until).mean
    return None if math.isnan(best[trial.searched]) or math.isnan(best[trial.metric]) else best[trial.metric]


def _column(dimension: Dimension) -> str:
    """The name of a shared column, e.g. `optimizer.*.lr` for the learning rate of any optimizer."""
    if not dimension.condition:
        return dimension.name
    choice, label = dimension.condition[-1]
    return f"{choice}.*{dimension.name.removeprefix(named(choice, label))}"


def _holds(condition: tuple[tuple[str, Scalar], ...], params: Params) -> bool:
    return all(name in params and params[name] == label for name, label in condition)
