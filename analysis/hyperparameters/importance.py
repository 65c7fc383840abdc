"""How much each hyperparameter decides of the score: functional ANOVA on random forests."""

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor

from analysis.hyperparameters.branches import Branch, branches
from analysis.hyperparameters.marginals import Leaves
from analysis.ranking.order import Ranking
from ichtune.space.distributions import Choice, Range

COLUMNS = ("parameter", "branch", "trials", "importance", "deviation", "chance")
FORESTS, TREES = 20, 8
CELLS = 12


def importance(ranking: Ranking, *, seed: int = 0) -> pd.DataFrame:
    """How much of the score's variance over the space each hyperparameter decides by itself, a row each.

    `importance` is the mean over forests of the share of variance (Hutter, Hoos and Leyton-Brown, ICML 2014),
    `deviation` the standard deviation over forests, each with a seed and a shuffling of its own. `chance` is the most
    that any forest gave to a copy of the hyperparameter whose values were shuffled among the trials: an importance
    that is not above it says nothing. Scores are those of one epoch for all trials, and hyperparameters of a branch
    are told within its trials; `branches.notes` tells which branches are refused. What is missing to 1 in
    a branch is decided by interactions, by the hyperparameters of its options, and by noise.

    The same fANOVA as Optuna's, but a logarithmic range is even in ratios and not in differences, impossible mixtures
    of options are not averaged over, and a thousand trials take seconds.
    """
    rows = [row for branch in branches(ranking) if not branch.refusal for row in _rows(branch, seed)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(branch: Branch, seed: int) -> list[dict[str, object]]:
    shares = np.array([_shares(branch, [seed, number]) for number in range(FORESTS)])
    own, copies = shares[:, 0], shares[:, 1]
    columns = zip(own.mean(axis=0), own.std(axis=0, ddof=1), copies.max(axis=0), strict=True)
    rows = [
        dict(zip(COLUMNS, (knob.dimension.name, branch.when, len(branch.scores), *told), strict=True))
        for knob, told in zip(branch.own, columns, strict=True)
    ]
    return [rows[place] for place in np.argsort(-own.mean(axis=0), kind="stable")]


def _shares(branch: Branch, seed: list[int]) -> list[list[float]]:
    """One forest's shares of the branch's own hyperparameters, and of their shuffled copies."""
    rng = np.random.default_rng(seed)
    own = [knob.column for knob in branch.own]
    # A copy of each, and not one made-up column for all: forests give more to what has many values. Beside an even
    # random number, choices that matter came out as chance.
    copies = rng.permuted(branch.points[:, own], axis=0)
    forest = RandomForestRegressor(TREES, min_samples_leaf=3, random_state=int(rng.integers(2**31)))
    leaves = Leaves.of(forest.fit(np.hstack([branch.points, copies]), branch.scores))
    edges = [even_edges(knob.dimension.distribution) for knob in branch.own]
    first = branch.points.shape[1]
    return [
        [leaves.share(column, cells) for column, cells in zip(columns, edges, strict=True)]
        for columns in (own, range(first, first + len(own)))
    ]


def even_edges(distribution: Range | Choice) -> np.ndarray:
    """Where a column's cells end: one for each option or step, or `CELLS` of a range that has more."""
    if isinstance(distribution, Choice):
        return np.linspace(0, 1, len(distribution.labels) + 1)
    return np.linspace(0, 1, min(distribution.count or CELLS, CELLS) + 1)
