"""Cached features as training inputs, read by slice from the finished parts of a bank."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from ichtune.bank.part import BankError, BankPart, open_features, part_rows
from ichtune.data.store import SliceStore
from ichtune.recipe import Level


class FeatureBank:
    """Features of a store's slices from one frozen backbone, in all views that its parts hold.

    They are memory-mapped: a bank larger than memory works, and a small one stays in the page cache.
    """

    def __init__(self, store: SliceStore, parts: Iterable[BankPart]) -> None:
        """
        Raises:
            BankError: a part is unfinished, damaged, or belongs to another store.
            ValueError: there are no parts, or parts of several backbones, seeds or precisions.
        """
        self._features: dict[tuple[Level, int], torch.Tensor] = {}
        for part in parts:
            view = part.key.level, part.key.view
            if part.key.store != store.fingerprint:
                raise BankError(
                    f"{part.folder}: these features belong to a store other than {store.path}; plan the bank again"
                )
            if view in self._features:
                raise ValueError(f"a bank has one backbone, seed and precision: got {view} twice")
            self._features[view] = torch.from_numpy(open_features(part))
        if not self._features:
            raise ValueError("a bank needs at least one part")
        self._positions = {
            level: _positions(store, level) for level in {level for level, _ in self._features}
        }

    @property
    def width(self) -> int:
        """D, the number of features."""
        return next(iter(self._features.values())).shape[1]

    def views(self, level: Level) -> int:
        """Return how many views of an augmentation level the bank holds."""
        return sum(held == level for held, _ in self._features)

    def features(self, rows: np.ndarray, level: Level = "normal", view: int = 0) -> torch.Tensor:
        """Return features of the store's rows (int64 `[n]`, repeats allowed), float32 `[n, D]`.

        Raises:
            BankError: the bank does not hold that view.
            IndexError: a row is not in the store, or is in the test set, which has no augmented features.
        """
        if (level, view) not in self._features:
            held = ", ".join(f"{held} {number}" for held, number in sorted(self._features, key=str))
            raise BankError(
                f"the bank has no view {view} of {level}, only {held}; plan it with that level and views"
            )
        positions = self._positions[level][rows]
        if (positions < 0).any():
            raise IndexError(
                f"row {rows[positions < 0][0]} is in the test set, which has no {level} features"
            )
        # For float16 in the page cache this is twice as fast as numpy's indexing.
        return self._features[level, view].index_select(0, torch.from_numpy(positions)).float()


class FeatureSource:
    """Features of a bank as training inputs: epoch e reads view `e mod V` of a level, None the level `normal`."""

    def __init__(self, bank: FeatureBank, level: Level) -> None:
        """
        Raises:
            BankError: the bank lacks this level or `normal`.
        """
        for needed in ("normal", level):
            if not bank.views(needed):
                raise BankError(f"the bank has no features of the level {needed}; plan it with that level")
        self.bank = bank
        self.level = level

    @classmethod
    def open(cls, store: SliceStore, parts: Iterable[BankPart], level: Level) -> "FeatureSource":
        """Open finished parts of one backbone as a source."""
        return cls(FeatureBank(store, parts), level)

    @property
    def width(self) -> int:
        """D, the number of features."""
        return self.bank.width

    def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
        """Yield the features `[n, D]` of each chunk of rows (int64 `[n]`) in order."""
        level: Level = "normal" if epoch is None else self.level
        view = 0 if epoch is None else epoch % self.bank.views(level)
        return (self.bank.features(rows, level, view) for rows in chunks)


def _positions(store: SliceStore, level: Level) -> np.ndarray:
    """Return the position of each store row in a level's parts, int64 `[N]`; -1 for rows they don't hold."""
    rows = part_rows(store, level)
    positions = np.full(len(store), -1)
    positions[rows] = np.arange(len(rows))
    return positions
