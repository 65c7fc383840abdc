"""The score that each value of a hyperparameter is associated with, averaged over all others."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.ensemble import RandomForestRegressor

from analysis.hyperparameters.branches import Branch, Rung
from analysis.hyperparameters.marginals import Leaves
from ichtune.space.distributions import Choice, Range
from ichtune.wording import plain

COLUMNS = ("parameter", "branch", "value", "effect", "low", "high", "trials")
TREES = 100
MOST_CELLS, TRIALS_A_CELL = 8, 10
"""A range is split into up to this many cells of equal count, or into fewer if a cell would have fewer trials."""


def effects(rung: Rung, *, seed: int = 0) -> pd.DataFrame:
    """The mean score of each value of each hyperparameter with 95 % intervals, one row per value.

    `value` is an option as text, or the median of a cell of a range; `trials` is how many have it. `effect` is a
    forest's prediction for the value averaged over the space (Hutter, Hoos and Leyton-Brown, ICML 2014), plus the mean
    residual of the trials that have it, from trees that have not seen them. A forest alone shrinks weak effects
    towards zero: with 600 simulated trials its intervals covered the true effect of augmentation in 3 to 33 % of
    searches. With this correction (Robins, Rotnitzky and Zhao, JASA 1994), `low` and `high`, from Student's t of those
    residuals, covered it in 88 to 98 %, from 30 to 600 trials.

    An adaptive sampler concentrates trials where scores are good. Other values have few trials, so wide intervals, and
    their other parameters are not evenly sampled.
    """
    rows = [row for branch in rung.branches if not branch.refusal for row in _rows(branch, seed)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"value": object})


def _rows(branch: Branch, seed: int) -> Iterator[dict[str, object]]:
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=seed)
    leaves = Leaves.of(forest.fit(branch.points, branch.scores))
    unseen = branch.scores - forest.oob_prediction_
    error = t.ppf(0.975, len(unseen) - 1) * unseen.std(ddof=1)
    for column, dimension, values in branch.own:
        edges = _edges(dimension.distribution, branch.points[:, column])
        cells = np.searchsorted(edges[1:-1], branch.points[:, column], side="right")
        predicted = leaves.curves(column, edges).mean(axis=0)
        for cell in np.unique(cells):
            trials = np.flatnonzero(cells == cell)
            effect, half = predicted[cell] + unseen[trials].mean(), error / np.sqrt(len(trials))
            yield {
                "parameter": dimension.name,
                "branch": branch.when,
                "value": _shown(dimension.distribution, [values[trial] for trial in trials]),
                "effect": effect,
                "low": effect - half,
                "high": effect + half,
                "trials": len(trials),
            }


def _edges(distribution: Range | Choice, places: np.ndarray) -> np.ndarray:
    """The edges of a hyperparameter's cells: one per option or number, or cells with equally many trials."""
    if isinstance(distribution, Choice):
        return np.linspace(0, 1, len(distribution.labels) + 1)
    ordered = np.unique(places)
    if len(ordered) <= MOST_CELLS:
        parts = list(ordered[:, None])
    else:
        count = int(np.clip(len(places) // TRIALS_A_CELL, 2, MOST_CELLS))
        parts = np.array_split(np.sort(places), count)
    between = [(part[-1] + after[0]) / 2 for part, after in pairwise(parts)]
    return np.unique([0, *between, 1])


def _shown(distribution: Range | Choice, values: list) -> object:
    return plain(values[0]) if isinstance(distribution, Choice) else sorted(values)[len(values) // 2]
