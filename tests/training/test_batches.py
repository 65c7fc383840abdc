"""Batches of an epoch, and folds of unequal length side by side."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ichtune.training.batches import in_batches, side_by_side


def test_the_last_batch_is_shorter():
    assert [len(batch) for batch in in_batches(np.arange(10), 4)] == [4, 4, 2]


def test_a_lone_last_row_joins_the_batch_before_it():
    assert [len(batch) for batch in in_batches(np.arange(9), 4)] == [4, 5]


def test_batches_of_one_are_possible():
    assert [len(batch) for batch in in_batches(np.arange(3), 1)] == [1, 1, 1]
    assert [len(batch) for batch in in_batches(np.arange(1), 4)] == [1]


@given(rows=st.integers(1, 50), batch_size=st.integers(1, 12))
def test_batches_hold_every_row_once_in_order(rows, batch_size):
    assert np.array_equal(np.concatenate(in_batches(np.arange(rows), batch_size)), np.arange(rows))


def test_steps_hold_each_folds_batch_and_count_what_is_real():
    folds = [in_batches(np.arange(5), 2), in_batches(np.arange(10, 13), 3)]
    first, second = side_by_side(folds)
    assert first.counts.tolist() == [2, 3]
    assert first.rows[0, :2].tolist() == [0, 1]
    assert first.rows[1].tolist() == [10, 11, 12]
    assert second.counts.tolist() == [3, 0]
    assert second.rows[0].tolist() == [2, 3, 4]


def test_padding_is_of_the_same_fold():
    folds = [in_batches(np.arange(7), 2), in_batches(np.arange(10, 13), 2)]
    for step in side_by_side(folds):
        assert (step.rows[0] < 10).all()
        assert (step.rows[1] >= 10).all()
