"""Batches hold whole units: slices, or scans of several slices each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ichtune.data.scans import Scans
from ichtune.models.heads import LinearHeads
from ichtune.models.network import Network
from ichtune.recipe import Recipe, Training
from ichtune.training.batches import Fold
from ichtune.training.fit import fit
from ichtune.training.predict import predict
from ichtune.training.samplers import make_sampler
from ichtune.training.units import ScanUnits

CPU = torch.device("cpu")
# Rows from the feet towards the head; each scan is of another patient, in the fold of its place.
SCANS = [[0, 1, 2], [3], [4, 5], [9, 7, 6, 8], [10, 11], [12, 13, 14]]
ROWS, WIDTH = 15, 4


def table_of(scans: list[list[int]], **columns: Any) -> pd.DataFrame:
    """A store's table of slices in which these rows are scans, 5 mm apart."""
    rows = sum(map(len, scans))
    table = pd.DataFrame({"source": [""] * rows, "z_mm": 0.0, "fold": 0})
    for number, members in enumerate(scans):
        for name in ("patient_id", "study_id", "series_id"):
            table.loc[members, name] = f"{name}{number}"
        table.loc[members, "z_mm"] = 5.0 * np.arange(len(members))
        table.loc[members, "fold"] = number
    return table.assign(**columns)


def units_of(table: pd.DataFrame) -> ScanUnits:
    return ScanUnits.of(Scans.of(table))


UNITS = units_of(table_of(SCANS))
LABELS = (np.random.default_rng(0).random((ROWS, 6)) < 0.4).astype(np.float32)


def rows_of(*scans: int) -> np.ndarray:
    """The rows of scans in the order of the store."""
    return np.sort(np.concatenate([SCANS[scan] for scan in scans]))


FOLDS = [
    Fold(0, rows_of(0, 1, 2, 3), rows_of(4, 5)),
    Fold(1, rows_of(2, 3, 5), rows_of(0, 1, 4)),
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


def test_every_batch_holds_whole_scans_of_about_as_many_slices_as_asked_for():
    # Four scans of 10 slices: two of them have 5 on average.
    source, recipe = Seen(), Recipe(training=Training(epochs=2, batch_size=5, seed=1))
    network = Network(None, LinearHeads(WIDTH, [0], 1))
    results = list(fit(network, source, LABELS, FOLDS[:1], recipe, device=CPU, units=UNITS))
    batches = [scans_in(rows) for rows in source.training]
    assert [len(batch) for batch in batches] == [2, 2] * 2
    for epoch in (batches[:2], batches[2:]):
        assert sorted(chain(*epoch)) == [0, 1, 2, 3]
    assert batches[:2] != batches[2:]
    assert [scans_in(rows) for rows in source.validation] == [[4, 5]] * 2
    np.testing.assert_allclose(results[0].class_mix[0], LABELS[:10].mean(axis=0), rtol=1e-6)


def test_a_batch_has_at_least_one_scan():
    assert UNITS.per_batch(np.arange(6), 1) == 1
    assert UNITS.per_batch(np.arange(0), 64) == 1


def test_folds_of_scans_side_by_side_train_as_they_would_alone():
    recipe = Recipe(training=Training(epochs=3, batch_size=5, seed=1))

    def last(folds: list[Fold]) -> list[np.ndarray]:
        network = Network(None, LinearHeads(WIDTH, [fold.index for fold in folds], 1))
        *_, result = fit(network, Seen(), LABELS, folds, recipe, device=CPU, units=UNITS)
        return result.logits

    for together, fold in zip(last(FOLDS), FOLDS, strict=True):
        (alone,) = last([fold])
        np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_predictions_are_in_the_order_of_the_rows_asked_for():
    network, source = Network(None, LinearHeads(WIDTH, [0], 1)), Seen()
    rows = np.array([6, 1, 9, 9, 0, 12])
    logits = predict(network, source, rows, device=CPU, head=0, units=UNITS, batch_size=7)
    # Scans 0, 3 and 5 have 10 slices, of which about 7 are read at a time.
    assert [scans_in(chunk) for chunk in source.validation] == [[0, 3], [5]]
    expected = network.heads.one(0, source.inputs[torch.from_numpy(rows)])
    torch.testing.assert_close(logits[0], expected.detach())


def test_a_part_that_cuts_through_a_scan_is_an_error():
    fold = Fold(2, np.array([0, 1]), rows_of(3))
    network = Network(None, LinearHeads(WIDTH, [2], 1))
    with pytest.raises(ValueError, match="fold 2: a part must consist of whole units"):
        next(fit(network, Seen(), LABELS, [fold], Recipe(), device=CPU, units=UNITS))


def test_scans_with_a_rare_label_are_drawn_more_often():
    labels = np.zeros((ROWS, 6), np.float32)
    labels[7] = 1  # in the middle of scan 3
    fold = Fold(0, np.arange(ROWS), np.arange(0))
    order = make_sampler("oversample", fold, labels, 0, UNITS)
    drawn = np.concatenate([order(epoch) for epoch in range(200)])
    # One scan of six has the label: it is drawn as often as the five others together.
    assert 0.45 < (drawn == 3).mean() < 0.55


def test_a_scan_has_the_labels_of_its_slices_whatever_is_unknown():
    labels = np.full((ROWS, 6), np.nan, np.float32)
    labels[[4, 5], 0], labels[3, 0] = [1, np.nan], 0
    found = UNITS.labels(np.array([1, 2, 0]), labels)[:, 0]
    np.testing.assert_array_equal(found, [0, 1, np.nan])


def test_slices_without_a_series_or_a_position_are_scans_of_their_own():
    table = table_of(SCANS)
    table.loc[7, "z_mm"] = np.nan
    table.loc[[4, 5], "series_id"] = ""
    units = units_of(table)
    assert units.batch(units.within(np.array([6]))).rows.tolist() == [9, 6, 8]
    for row in (7, 4, 5):
        assert units.batch(units.within(np.array([row]))).rows.tolist() == [row]
    assert str(units) == (
        "5 scans of 1 to 3 slices; 3 slices have no known series or position, so each is a scan of its own"
    )


def test_a_scan_in_two_parts_is_read_in_each_part_alone():
    table = table_of([[0, 1, 2, 3]], fold=[0, -1, 0, -1])
    units = units_of(table)
    assert units.batch(units.within(np.array([0, 2]))).rows.tolist() == [0, 2]
    assert units.batch(units.within(np.array([1]))).rows.tolist() == [1, 3]
