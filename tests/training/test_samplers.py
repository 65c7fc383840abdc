"""The order of rows: keyed, complete, and weighted by the training part's labels."""

import numpy as np
import pytest

from ichtune.training.batches import Fold
from ichtune.training.samplers import make_sampler, rarity

NAN = float("nan")
ROWS = np.arange(100, 140)
FOLD = Fold(0, ROWS, np.arange(10))
LABELS = (np.random.default_rng(0).random((150, 6)) < 0.2).astype(np.float32)


@pytest.mark.parametrize("name", ["shuffle", "oversample"])
def test_an_epoch_is_as_long_as_the_training_part_and_within_it(name):
    order = make_sampler(name, FOLD, LABELS, seed=0)(0)
    assert len(order) == len(ROWS)
    assert np.isin(order, ROWS).all()


def test_shuffle_takes_every_row_once():
    assert sorted(make_sampler("shuffle", FOLD, LABELS, seed=0)(3)) == ROWS.tolist()


@pytest.mark.parametrize("name", ["shuffle", "oversample"])
def test_the_order_depends_on_seed_fold_and_epoch_alone(name):
    def order(seed: int = 0, fold: int = 0, epoch: int = 0) -> list[int]:
        return make_sampler(name, Fold(fold, ROWS, ROWS), LABELS, seed)(epoch).tolist()

    assert order() == order()
    orders = [order(), order(seed=1), order(fold=1), order(epoch=1)]
    assert len({tuple(rows) for rows in orders}) == 4


def test_a_slice_weighs_by_its_rarest_positive_label():
    labels = np.zeros((8, 6))
    labels[:4, 5] = 1  # any: 4 slices
    labels[:1, 0] = 1  # epidural: 1 of them
    labels[1:3, 4] = 1  # subdural: 2
    # Rarest label's slices: 1, 2, 2, 4 for the positive ones; 4 slices have none.
    expected = np.array([1, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4])
    np.testing.assert_allclose(rarity(labels), expected / expected.sum())


def test_unknown_labels_count_as_not_positive():
    labels = np.array([[1, NAN, 0, 0, 0, 1], [NAN, NAN, 0, 0, 0, 0], [0, 0, 0, 0, 0, NAN]])
    np.testing.assert_allclose(rarity(labels), [0.5, 0.25, 0.25])


def test_oversampling_draws_rare_slices_as_often_as_their_weight_says():
    labels = np.zeros((150, 6), dtype=np.float32)
    labels[100:104, 0] = 1
    order = make_sampler("oversample", FOLD, labels, seed=0)
    drawn = np.concatenate([order(epoch) for epoch in range(100)])
    # 4 slices of 1/4 against 36 of 1/36: half of 4,000 draws, five standard errors are 0.04.
    assert abs((drawn < 104).mean() - 0.5) < 0.04


@pytest.mark.parametrize("name", ["shuffle", "oversample"])
@pytest.mark.parametrize("per_epoch", [7, 40, 100])
def test_epochs_of_a_number_of_units_go_on_in_the_passes_where_the_last_one_stopped(name, per_epoch):
    passes = make_sampler(name, FOLD, LABELS, seed=0)
    parts = make_sampler(name, FOLD, LABELS, seed=0, per_epoch=per_epoch)
    stream = np.concatenate([passes(number) for number in range(15)])
    for epoch in (0, 1, 5):
        assert parts(epoch).tolist() == stream[epoch * per_epoch : (epoch + 1) * per_epoch].tolist()
