"""How much each hyperparameter drives the score: functional ANOVA on random forests."""

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor

from analysis.hyperparameters.branches import Branch, Rung
from analysis.hyperparameters.marginals import Leaves
from ichtune.space.distributions import Choice, Range

COLUMNS = ("parameter", "branch", "trials", "importance", "deviation", "chance")
FORESTS, TREES = 20, 8
CELLS = 12


def importance(rung: Rung, *, seed: int = 0) -> pd.DataFrame:
    """The share of the score's variance over the space that each hyperparameter explains by itself, one row each.

    `importance` is the mean share over forests (Hutter, Hoos and Leyton-Brown, ICML 2014), `deviation` its standard
    deviation over forests that differ in seed and shuffling. `chance` is the largest share that any forest gave to a
    copy of the hyperparameter shuffled among the trials: an importance that is not above it means nothing. All trials
    are scored at the same epoch, and a branch's hyperparameters are analysed within its trials; `Rung.notes` lists
    the branches that are refused. The remainder to 1 in a branch is due to interactions, to the hyperparameters of its
    options, and to noise.

    This is the same fANOVA as Optuna's, except that a logarithmic range is even in ratios rather than differences,
    impossible combinations of options are not averaged over, and a thousand trials take seconds.
    """
    rows = [row for branch in rung.branches if not branch.refusal for row in _rows(branch, seed)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(branch: Branch, seed: int) -> list[dict[str, object]]:
    shares = np.array([_shares(branch, [seed, number]) for number in range(FORESTS)])
    own, copies = shares[:, 0], shares[:, 1]
    columns = zip(own.mean(axis=0), own.std(axis=0, ddof=1), copies.max(axis=0), strict=True)
    rows = [
        dict(zip(COLUMNS, (knob.dimension.name, branch.when, len(branch.scores), *numbers), strict=True))
        for knob, numbers in zip(branch.own, columns, strict=True)
    ]
    return [rows[place] for place in np.argsort(-own.mean(axis=0), kind="stable")]


def _shares(branch: Branch, seed: list[int]) -> list[list[float]]:
    """One forest's shares for the branch's own hyperparameters, and for their shuffled copies."""
    rng = np.random.default_rng(seed)
    own = [knob.column for knob in branch.own]
    # A copy of each rather than one random column for all: forests favour columns with many values. Next to a
    # continuous random number, choices that matter looked like chance.
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
    """The edges of a column's cells: one per option or step, or `CELLS` for a range with more."""
    if isinstance(distribution, Choice):
        return np.linspace(0, 1, len(distribution.labels) + 1)
    return np.linspace(0, 1, min(distribution.count or CELLS, CELLS) + 1)
