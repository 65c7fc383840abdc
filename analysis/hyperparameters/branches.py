"""A search's trials as points of its space, branch by branch: what importance and effects are told from."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from analysis.ranking.order import Ranking
from analysis.ranking.trial import RankedTrial
from ichtune.runs.records import best_of
from ichtune.space import Space
from ichtune.space.distributions import Choice, Range, Scalar
from ichtune.space.walks import Dimension, Params, named

FEWEST = 20
"""Trials below which a branch is refused.

In made-up searches of 10 trials an optimizer's rate, which decides nearly all within its branch, came out as no more
than chance in three of ten; of 15 in one of five; of 20 in one of fifty. Among all trials, what does nothing stood
above both its chance and the loss in one of ten searches of 15, in one of fifteen of 20, in none of 60.
"""
MIDDLE = 0.5


class Own(NamedTuple):
    """A hyperparameter that stands in a branch itself and varies there."""

    column: int
    dimension: Dimension
    values: list[Any]
    """A value a trial."""


@dataclass(frozen=True)
class Branch:
    """The trials that took the same options, as points of the unit cube, with their scores at one epoch."""

    when: str
    """As `optimizer is adam`; empty for all trials."""
    points: np.ndarray
    """`[T, C]`: a column for whatever varies here, with the places of values between the ends of their own ranges.

    What options of one choice have in common (each optimizer's rate) shares a column, and a trial without it stands
    in the middle. If the whole left out the rate, its effect would be noise that buries the others: in made-up
    searches of 60 trials a hyperparameter that does nothing ranked above the loss in one of four so, and above the
    optimizer in one of two; with these columns in none, and in one of seven.
    """
    scores: np.ndarray
    """`[T]`"""
    own: list[Own]

    @property
    def refusal(self) -> str | None:
        """Why nothing can be told of the branch, in words; None where something can."""
        where, count = self.when or "all trials", len(self.scores)
        if count < FEWEST:
            return f"{where}: {count} with a score; importance and effects mislead below {FEWEST}"
        if np.ptp(self.scores) == 0:
            return f"{where}: all {count} score the same, so nothing has an effect"
        return None if self.own else f"{where}: no hyperparameter varies"


@dataclass(frozen=True)
class Rung:
    """A run's trials at the first epoch at which ASHA compares them, where every trial is scored alike."""

    epoch: int
    trials: list[RankedTrial]
    scores: np.ndarray
    left_out: int
    """Trials that diverged until then, did not get so far, or have no defined score."""

    @classmethod
    def of(cls, ranking: Ranking) -> "Rung":
        # By number: forests draw trials by their place, which must not follow the scores.
        run = ranking.run
        own = (trial for trial in ranking.trials if trial.run is run)
        trials = sorted(own, key=lambda trial: trial.record.number)
        longest = max(trial.record.recipe.training.epochs for trial in trials)
        epoch = min(run.request.settings.grace, longest)
        scores = [_score_at(epoch, trial) for trial in trials]
        scored = [(trial, score) for trial, score in zip(trials, scores, strict=True) if score is not None]
        return cls(
            epoch,
            [trial for trial, _ in scored],
            np.array([score for _, score in scored]),
            len(trials) - len(scored),
        )


def branches(ranking: Ranking) -> list[Branch]:
    """All trials of the run together, and then those of each option that holds hyperparameters of its own."""
    rung = Rung.of(ranking)
    space = ranking.run.request.space
    return branches_of(space, [trial.record.params for trial in rung.trials], rung.scores)


def branches_of(space: Space, params: list[Params], scores: np.ndarray) -> list[Branch]:
    """The branches of these parameters, a score each; parameters that the space does not have are left out."""
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


def notes(ranking: Ranking) -> list[str]:
    """What a reader of importances and effects is to know: at which epoch, and without which trials and branches."""
    rung = Rung.of(ranking)
    told = [f"scores at epoch {rung.epoch}, which is the same for all trials"]
    if rung.left_out:
        count = rung.left_out + len(rung.trials)
        told.append(f"{rung.left_out} of {count} trials have no score there and are left out")
    return told + [branch.refusal for branch in branches(ranking) if branch.refusal]


def place(distribution: Range | Choice, value: Any) -> float:
    """Where a value stands between 0 and 1, so that the space is even: each option has as much room, and each ratio
    of a logarithmic range.
    """
    if isinstance(distribution, Choice):
        return (distribution.labels.index(value) + 0.5) / len(distribution.labels)
    room = (distribution.step or 0) / 2
    ends = (distribution.low - room, float(value), distribution.high + room)
    low, at, high = map(math.log, ends) if distribution.log else ends
    return (at - low) / (high - low)


def _score_at(epoch: int, trial: RankedTrial) -> float | None:
    """The trial's score as if it had ended at an epoch, so at its best one until then; None where there is none."""
    until = [record for record in trial.record.epochs if record.epoch <= epoch]
    if until[-1].epoch < epoch or any(record.diverged for record in until):
        return None
    best = best_of(until, trial.searched).mean
    return None if math.isnan(best[trial.searched]) or math.isnan(best[trial.metric]) else best[trial.metric]


def _column(dimension: Dimension) -> str:
    """`optimizer.*.lr` for the rate of any optimizer."""
    if not dimension.condition:
        return dimension.name
    choice, label = dimension.condition[-1]
    return f"{choice}.*{dimension.name.removeprefix(named(choice, label))}"


def _holds(condition: tuple[tuple[str, Scalar], ...], params: Params) -> bool:
    return all(name in params and params[name] == label for name, label in condition)
