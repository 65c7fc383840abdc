"""What a forest predicts along one column, averaged over all values of the others.

A tree splits the unit cube into boxes of constant value, so averages over the cube are sums over its leaves: nothing
is sampled, and the trials' positions don't matter (Hutter, Hoos and Leyton-Brown, ICML 2014).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.ensemble import RandomForestRegressor


@dataclass(frozen=True)
class Leaves:
    """The leaves of a forest's trees on the unit cube, tree by tree."""

    low: np.ndarray
    """`[L, C]`"""
    high: np.ndarray
    """`[L, C]`"""
    values: np.ndarray
    """`[L]`"""
    begins: np.ndarray
    """Index of the first leaf of each tree."""

    @classmethod
    def of(cls, forest: RandomForestRegressor) -> "Leaves":
        boxes = [_boxes(estimator.tree_) for estimator in forest.estimators_]
        counts = [len(values) for _, _, values in boxes]
        low, high, values = (np.concatenate(parts) for parts in zip(*boxes, strict=True))
        return cls(low, high, values, np.cumsum([0, *counts[:-1]]))

    def curves(self, column: int, edges: np.ndarray) -> np.ndarray:
        """Each tree's mean value within each cell of a column, `[trees, cells]`."""
        low, high = self.low[:, column, None], self.high[:, column, None]
        inside = np.clip(np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1]), 0, None) / np.diff(edges)
        others = np.delete(self.high - self.low, column, axis=1).prod(axis=1)
        return np.add.reduceat(inside * (self.values * others)[:, None], self.begins)

    @cached_property
    def variance(self) -> np.ndarray:
        """The variance of each tree's value over the cube, `[trees]`."""
        volume = (self.high - self.low).prod(axis=1)
        mean = np.add.reduceat(volume * self.values, self.begins)
        return np.add.reduceat(volume * self.values**2, self.begins) - mean**2

    def share(self, column: int, edges: np.ndarray) -> float:
        """The share of the variance that a column explains by itself: the mean over trees that vary at all."""
        curves, widths = self.curves(column, edges), np.diff(edges)
        own = curves**2 @ widths - (curves @ widths) ** 2
        vary = self.variance > 1e-12 * (1 + self.values.max() ** 2)
        return float(np.mean(own[vary] / self.variance[vary])) if vary.any() else 0.0


def _boxes(tree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The corners and values of a scikit-learn tree's leaves."""
    low, high = np.zeros((tree.node_count, tree.n_features)), np.ones((tree.node_count, tree.n_features))
    is_leaf = tree.children_left < 0
    nodes = np.array([0])
    while len(nodes):  # one level of the tree at a time
        split = nodes[~is_leaf[nodes]]
        left, right, column = tree.children_left[split], tree.children_right[split], tree.feature[split]
        for child in (left, right):
            low[child], high[child] = low[split], high[split]
        high[left, column] = low[right, column] = tree.threshold[split]
        nodes = np.concatenate([left, right])
    return low[is_leaf], high[is_leaf], tree.value[is_leaf, 0, 0]
