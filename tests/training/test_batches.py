"""Batches of an epoch, and folds of unequal length side by side."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ichtune.training.batches import Batch, Step, in_batches, side_by_side
from ichtune.training.units import SLICES


def batches(rows: np.ndarray, batch_size: int) -> list[Batch]:
    return [SLICES.batch(batch) for batch in in_batches(rows, batch_size)]


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
    folds = [batches(np.arange(5), 2), batches(np.arange(10, 13), 3)]
    first, second = side_by_side(folds)
    assert first.counts.tolist() == [2, 3]
    assert first.rows[0, :2].tolist() == [0, 1]
    assert first.rows[1].tolist() == [10, 11, 12]
    assert second.counts.tolist() == [3, 0]
    assert second.rows[0].tolist() == [2, 3, 4]


def test_padding_is_of_the_same_fold():
    folds = [batches(np.arange(7), 2), batches(np.arange(10, 13), 2)]
    for step in side_by_side(folds):
        assert (step.rows[0] < 10).all()
        assert (step.rows[1] >= 10).all()


def test_parts_of_a_step_cut_no_unit_and_hold_every_row_once():
    sizes = [np.array([2, 1, 3]), np.array([4])]
    rows = np.array([[0, 1, 2, 3, 4, 5], [10, 11, 12, 13, 10, 10]])
    parts = [part.step for part in Step(rows, np.array([6, 4]), sizes).parts(2)]
    assert [part.sizes[0].tolist() for part in parts] == [[2, 1], [3]]
    assert [part.sizes[1].tolist() for part in parts] == [[4], []]
    assert [part.rows[0, : part.counts[0]].tolist() for part in parts] == [[0, 1, 2], [3, 4, 5]]
    assert [part.rows[1, : part.counts[1]].tolist() for part in parts] == [[10, 11, 12, 13], []]


def test_no_part_of_a_step_is_a_single_slice():
    (step,) = side_by_side([batches(np.arange(5), 5)])
    assert [len(part.step.rows[0]) for part in step.parts(4)] == [3, 2]
