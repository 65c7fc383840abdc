"""Batches hold whole units: slices, or scans of several slices each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import torch

from ichtune.models.heads import LinearHeads
from ichtune.models.network import Network
from ichtune.recipe import Recipe, Training
from ichtune.training.batches import Fold
from ichtune.training.fit import fit
from ichtune.training.predict import predict
from ichtune.training.samplers import make_sampler

CPU = torch.device("cpu")
SCANS = [[0, 1, 2], [3], [4, 5], [9, 7, 6, 8], [10, 11], [12, 13, 14]]  # rows in the order of their slices
ROWS, WIDTH = 15, 4


class Scans:
    """All slices of a scan together."""

    def within(self, rows: np.ndarray) -> np.ndarray:
        number = {row: scan for scan, members in enumerate(SCANS) for row in members}
        return np.array(list(dict.fromkeys(number[row] for row in rows.tolist())), dtype=np.int64)

    def rows(self, units: np.ndarray) -> np.ndarray:
        return np.concatenate([SCANS[unit] for unit in units])

    def labels(self, units: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return np.stack([labels[SCANS[unit]].max(axis=0) for unit in units])


UNITS = Scans()
LABELS = (np.random.default_rng(0).random((ROWS, 6)) < 0.4).astype(np.float32)
FOLDS = [
    Fold(0, UNITS.rows(np.array([0, 1, 2, 3])), UNITS.rows(np.array([4, 5]))),
    Fold(1, UNITS.rows(np.array([2, 3, 5])), UNITS.rows(np.array([0, 1, 4]))),
]


@dataclass
class Seen:
    """Features in memory, and the rows that were asked for."""

    inputs: torch.Tensor = field(default_factory=lambda: torch.linspace(-1, 1, ROWS * WIDTH).view(ROWS, -1))
    training: list[list[int]] = field(default_factory=list)
    validation: list[list[int]] = field(default_factory=list)

    def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
        for rows in chunks:
            (self.validation if epoch is None else self.training).append(rows.tolist())
            yield self.inputs[torch.from_numpy(rows)]


def scans_in(rows: list[int]) -> list[int]:
    """The scans that rows are, each whole and in order."""
    scans = []
    while rows:
        (scan,) = (number for number, members in enumerate(SCANS) if rows[: len(members)] == members)
        scans.append(scan)
        rows = rows[len(SCANS[scan]) :]
    return scans


def test_every_batch_holds_whole_scans():
    source, recipe = Seen(), Recipe(training=Training(epochs=2, batch_size=2, seed=1))
    network = Network(None, LinearHeads(WIDTH, [0], 1))
    results = list(fit(network, source, LABELS, FOLDS[:1], recipe, device=CPU, units=UNITS))
    batches = [scans_in(rows) for rows in source.training]
    assert [len(batch) for batch in batches] == [2, 2] * 2
    for epoch in (batches[:2], batches[2:]):
        assert sorted(chain(*epoch)) == [0, 1, 2, 3]
    assert batches[:2] != batches[2:]
    assert [scans_in(rows) for rows in source.validation] == [[4, 5]] * 2
    np.testing.assert_allclose(results[0].class_mix[0], LABELS[:10].mean(axis=0), rtol=1e-6)


def test_folds_of_scans_side_by_side_train_as_they_would_alone():
    recipe = Recipe(training=Training(epochs=3, batch_size=2, seed=1))

    def last(folds: list[Fold]) -> list[np.ndarray]:
        network = Network(None, LinearHeads(WIDTH, [fold.index for fold in folds], 1))
        *_, result = fit(network, Seen(), LABELS, folds, recipe, device=CPU, units=UNITS)
        return result.logits

    for together, fold in zip(last(FOLDS), FOLDS, strict=True):
        (alone,) = last([fold])
        np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_prediction_keeps_the_order_of_the_rows():
    network, source, rows = Network(None, LinearHeads(WIDTH, [0], 1)), Seen(), FOLDS[1].valid
    logits = predict(network, source, rows, device=CPU, head=0, units=UNITS, batch_size=2)
    assert [scans_in(chunk) for chunk in source.validation] == [[0, 1], [4]]
    expected = network.heads.one(0, source.inputs[torch.from_numpy(rows)])
    torch.testing.assert_close(logits[0], expected.detach())


def test_scans_with_a_rare_label_are_drawn_more_often():
    labels = np.zeros((ROWS, 6), np.float32)
    labels[7] = 1  # in the middle of scan 3
    fold = Fold(0, UNITS.rows(np.arange(6)), np.arange(0))
    order = make_sampler("oversample", fold, labels, 0, UNITS)
    drawn = np.concatenate([order(epoch) for epoch in range(200)])
    # One scan of six has the label: it is drawn as often as the five others together.
    assert 0.45 < (drawn == 3).mean() < 0.55
