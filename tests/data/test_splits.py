import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ichtune.data.splits import TEST, TRAIN, SplitPlan, assign_splits, check_patients
from ichtune.errors import InputError


def heads(seed: int, patients: int) -> tuple[np.ndarray, np.ndarray]:
    """Patients of 1 to 20 slices, about half of them with positives of one kind."""
    rng = np.random.default_rng(seed)
    slices = rng.integers(1, 21, patients)
    names = np.repeat([f"p{k:03d}" for k in range(patients)], slices)
    labels = np.zeros((len(names), 6))
    kind = np.repeat(rng.integers(0, 10, patients), slices)
    positive = (kind < 5) & (rng.random(len(names)) < 0.4)
    labels[positive, kind[positive]] = 1
    labels[:, 5] = positive
    return names, labels


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 10**6), st.integers(15, 60), st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3]), st.integers(2, 5)
)
def test_no_patient_is_in_two_splits_or_folds(seed, patients, test_fraction, folds):
    names, labels = heads(seed, max(patients, 20))
    split, fold = assign_splits(names, labels, SplitPlan(test_fraction, folds, seed))
    for name in np.unique(names):
        assert len(set(split[names == name])) == 1
        assert len(set(fold[names == name])) == 1
    assert ((fold == -1) == (split == TEST)).all()
    assert set(fold[split == TRAIN]) == set(range(folds))


def test_the_test_set_is_as_large_and_as_rich_in_positives_as_asked():
    names, labels = heads(3, 300)
    split, fold = assign_splits(names, labels, SplitPlan(0.2, 5, 0))
    test = split == TEST
    assert test.mean() == pytest.approx(0.2, abs=0.03)
    for label in range(6):
        assert labels[test, label].mean() == pytest.approx(labels[~test, label].mean(), rel=0.25)
    for number in range(5):
        assert labels[fold == number, 5].mean() == pytest.approx(labels[~test, 5].mean(), rel=0.25)


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    names, labels = heads(5, 60)
    first, again, other = (assign_splits(names, labels, SplitPlan(0.2, 5, s))[1] for s in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_no_test_set_is_made_where_none_is_asked_for():
    names, labels = heads(1, 30)
    assert set(assign_splits(names, labels, SplitPlan(0, 3, 0))[0]) == {TRAIN}


def test_fewer_patients_than_folds_is_an_error_that_says_what_to_change():
    names, labels = heads(1, 3)
    with pytest.raises(InputError, match="only 3 patients; use fewer --folds"):
        assign_splits(names, labels, SplitPlan(0, 5, 0))


def test_labels_of_a_single_kind_can_still_be_split():
    names = np.array([f"p{k}" for k in range(6)])
    _, fold = assign_splits(names, np.eye(6), SplitPlan(0, 3, 0))
    assert np.bincount(fold).tolist() == [2, 2, 2]


def test_only_test_slices_make_no_folds_and_may_be_of_one_patient():
    split, fold = assign_splits(np.array(["p"] * 4), np.zeros((4, 6)), SplitPlan.all_test(0))
    assert set(split) == {TEST}
    assert set(fold) == {-1}


def test_one_patient_is_advised_to_make_a_test_set_not_fewer_folds():
    with pytest.raises(InputError, match="only one patient") as told:
        check_patients(1, SplitPlan(0.2, 5, 0))
    assert "--all-test" in str(told.value)
    assert "fewer" not in str(told.value)


@pytest.mark.parametrize("count", range(2, 8))
@pytest.mark.parametrize("asked", [(0.2, 5), (0.05, 2), (0.0, 20), (0.5, 5)])
def test_what_too_few_patients_are_advised_to_do_can_be_done(count, asked):
    names = np.repeat([f"p{k}" for k in range(count)], 3)
    labels = np.zeros((len(names), 6))
    try:
        assign_splits(names, labels, SplitPlan(*asked, 0))
    except InputError as error:
        advised = re.findall(r"--test-fraction ([\d.]+) --folds (\d+)", str(error).partition(";")[2])
        assert advised
        for fraction, folds in advised:
            assign_splits(names, labels, SplitPlan(float(fraction), int(folds), 0))
