"""Training of heads that read scans: which slices they see, what they can learn, and that nothing else matters."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.recipe import GRU, LSTM, MLP, Adam, Attention, Conv, Head, Linear, Model, Recipe, Training
from ichtune.training.batches import Fold
from ichtune.training.fit import fit
from ichtune.training.predict import predict
from ichtune.training.results import EpochResult
from ichtune.training.units import SLICES, ScanUnits, Units
from tests.training.test_units import table_of, units_of

CPU = torch.device("cpu")
WIDTH = 6
SIZES = [3, 1, 7, 5, 2, 6, 4, 8]
SCANS = np.split(np.arange(sum(SIZES)), np.cumsum(SIZES)[:-1])
UNITS = units_of(table_of([scan.tolist() for scan in SCANS]))
KINDS = [
    MLP(hidden=8, dropout=0.5, normalize="standard"),
    GRU(hidden=8, layers=2, dropout=0.5, differences=True),
    LSTM(hidden=8, dropout=0.5, normalize="standard"),
    Attention(hidden=8, heads=2, dropout=0.5),
    Conv(hidden=8, dropout=0.5, normalize="layer"),
]
every_kind = pytest.mark.parametrize("head", KINDS, ids=lambda head: head.name)


class Inputs:
    """Features in memory, shifted a little in every epoch as an augmentation would."""

    def __init__(self, features: np.ndarray) -> None:
        self.features = torch.from_numpy(features.astype(np.float32))

    def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
        shift = 0.0 if epoch is None else 0.1 * (epoch + 1)
        return (self.features[torch.from_numpy(rows)] + shift for rows in chunks)


RNG = np.random.default_rng(0)
FEATURES = RNG.normal(2, 3, (sum(SIZES), WIDTH))
LABELS = (RNG.random((sum(SIZES), 6)) < 0.4).astype(np.float32)
LABELS[RNG.random(LABELS.shape) < 0.1] = np.nan


def fold_of(index: int, train: list[int], valid: list[int]) -> Fold:
    return Fold(
        index,
        np.concatenate([SCANS[scan] for scan in train]),
        np.concatenate([SCANS[scan] for scan in valid]),
    )


FOLDS = [fold_of(0, [0, 1, 2, 3, 4], [5, 6, 7]), fold_of(1, [4, 5, 6, 7], [0, 1]), fold_of(3, [2, 7], [3])]


def units_for(head: Head, units: Units = UNITS) -> Units:
    return units if head.reads_scans else SLICES


TRAINING = Training(epochs=3, batch_size=8, seed=5)


def recipe_of(head: Head, training: Training = TRAINING) -> Recipe:
    return Recipe(head=head, model=Model(dropout=0.3), optimizer=Adam(lr=0.02), training=training)


def train(
    head: Head,
    folds: list[Fold] = FOLDS,
    features: np.ndarray = FEATURES,
    labels: np.ndarray = LABELS,
    training: Training = TRAINING,
    **options: Any,
) -> list[EpochResult]:
    recipe = recipe_of(head, training)
    network = Network(None, make_heads(recipe, WIDTH, [fold.index for fold in folds]))
    options = {"units": units_for(head), **options}
    return list(fit(network, Inputs(features), labels, folds, recipe, device=CPU, **options))


@every_kind
def test_folds_side_by_side_train_as_they_would_alone(head: Head):
    together = train(head)
    for place, fold in enumerate(FOLDS):
        for result, alone in zip(together, train(head, [fold]), strict=True):
            np.testing.assert_allclose(result.logits[place], alone.logits[0], rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(result.train_loss[place], alone.train_loss[0], rtol=1e-4)
            np.testing.assert_allclose(result.grad_norm[place], alone.grad_norm[0], rtol=1e-3)


@every_kind
def test_resuming_gives_the_same_epochs_bit_for_bit(head: Head):
    uninterrupted = train(head)
    file = io.BytesIO()
    recipe = recipe_of(head)
    network = Network(None, make_heads(recipe, WIDTH, [fold.index for fold in FOLDS]))
    units = units_for(head)
    first = next(fit(network, Inputs(FEATURES), LABELS, FOLDS, recipe, device=CPU, units=units))
    torch.save(first.state(), file)
    file.seek(0)
    resumed = train(head, resume=torch.load(file, weights_only=True))
    for result, expected in zip(resumed, uninterrupted[1:], strict=True):
        for logits, others in zip(result.logits, expected.logits, strict=True):
            assert np.array_equal(logits, others)


@every_kind
def test_batches_in_parts_train_as_whole_ones(head: Head):
    for result, expected in zip(train(head, micro_batches=3), train(head), strict=True):
        for logits, others in zip(result.logits, expected.logits, strict=True):
            np.testing.assert_allclose(logits, others, rtol=1e-3, atol=1e-3)


@every_kind
def test_validation_slices_do_not_change_what_is_trained(head: Head):
    fold = FOLDS[0]
    features, labels = FEATURES.copy(), LABELS.copy()
    features[fold.valid] += 100
    labels[fold.valid] = 1 - labels[fold.valid]
    for result, other in zip(train(head, [fold]), train(head, [fold], features, labels), strict=True):
        for one, another in zip(result.heads()[0].items(), other.heads()[0].items(), strict=True):
            assert one[0] == another[0]
            assert torch.equal(one[1], another[1])


@every_kind
def test_slices_out_of_order_in_the_store_give_the_same_outputs(head: Head):
    moved = np.random.default_rng(1).permutation(len(FEATURES))  # row r is now row moved[r]
    features, labels = np.empty_like(FEATURES), np.empty_like(LABELS)
    features[moved], labels[moved] = FEATURES, LABELS
    scans = [moved[scan].tolist() for scan in SCANS]
    units = units_for(head, units_of(table_of(scans)))
    folds = [replace(fold, train=np.sort(moved[fold.train]), valid=moved[fold.valid]) for fold in FOLDS]
    recipe = recipe_of(head)
    heads = make_heads(recipe, WIDTH, [0, 1, 3])
    for place, fold in enumerate(FOLDS):
        if heads.normalization.lacks_statistics(place):
            heads.normalization.set_statistics(place, [torch.from_numpy(FEATURES[fold.train])])
    network = Network(None, heads)
    before = predict(network, Inputs(FEATURES), FOLDS[0].valid, device=CPU, units=units_for(head))
    after = predict(network, Inputs(features), folds[0].valid, device=CPU, units=units)
    torch.testing.assert_close(after, before)


def test_the_normalisation_is_that_of_the_training_part():
    result = train(MLP(normalize="standard"))[0]
    for fold, head in zip(FOLDS, result.heads(), strict=True):
        np.testing.assert_allclose(head["normalization.mean"], FEATURES[fold.train].mean(0), rtol=1e-5)
        np.testing.assert_allclose(head["normalization.std"], FEATURES[fold.train].std(0), rtol=1e-4)


def vessels_and_blood(scans: int, slices: int = 20) -> tuple[np.ndarray, np.ndarray, ScanUnits]:
    """Features and labels of scans with a vessel through eight slices and a bleeding of the same brightness in one.

    Returns features `[N, 2]` (brightness and noise), labels `[N, 6]` (the bleeding), and the scans.
    """
    rng = np.random.default_rng(7)
    bright, blood = np.zeros((scans, slices)), np.zeros((scans, slices))
    for scan in range(scans):
        vessel = rng.integers(0, slices - 9)
        bright[scan, vessel : vessel + 8] = 1
        free = np.setdiff1d(np.arange(slices), np.arange(vessel - 1, vessel + 9))
        bleeding = rng.choice(free)
        bright[scan, bleeding] = blood[scan, bleeding] = 1
    features = np.column_stack([bright.ravel(), rng.standard_normal(scans * slices)])
    labels = np.repeat(blood.ravel()[:, None], 6, axis=1).astype(np.float32)
    table = table_of(np.arange(scans * slices).reshape(scans, slices).tolist())
    return features, labels, units_of(table)


BLOOD = vessels_and_blood(60)


def blood_auc(head: Head) -> float:
    features, labels, units = BLOOD
    rows = np.arange(len(features))
    recipe = Recipe(head=head, optimizer=Adam(lr=0.01), training=Training(epochs=16, batch_size=80))
    network = Network(None, make_heads(recipe, 2, [0]))
    folds, source = [Fold(0, rows[:800], rows[800:])], Inputs(features)
    *_, last = fit(network, source, labels, folds, recipe, device=CPU, units=units_for(head, units))
    return last.mean("auc")


@pytest.mark.parametrize(
    "head",
    [
        GRU(hidden=16, differences=True),
        LSTM(hidden=16, differences=True),
        Attention(hidden=16, differences=True),
        Conv(hidden=16),
    ],
    ids=lambda head: head.name,
)
def test_a_head_that_reads_scans_tells_blood_from_a_vessel_by_the_slices_beside_it(head: Head):
    assert blood_auc(head) > 0.95


@pytest.mark.parametrize("head", [Linear(), MLP()], ids=lambda head: head.name)
def test_a_head_of_single_slices_cannot_tell_blood_from_a_vessel(head: Head):
    # At best, all bright slices come before all dark ones: of 19 other slices, 11 are dark and 8 as bright.
    assert blood_auc(head) < (11 + 8 / 2) / 19 + 0.03
