"""Other partitions of the same training patients into folds."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from ichtune.data.partitions import draw_folds, partitions
from ichtune.data.splits import SplitPlan, assign_splits
from ichtune.data.store import SliceStore, write_info
from ichtune.errors import InputError
from tests.data.test_splits import heads
from tests.made_up.stores import made_up_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SliceStore:
    """A store of 72 patients in five folds and a test set."""
    return made_up_store(tmp_path_factory.mktemp("partitions") / "store", 2500)


def drawn(seed: int, patients: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return draw_folds(patients, labels, 5, np.random.default_rng(seed))


def by_scikit_learn(seed: int, patients: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The folds that `StratifiedGroupKFold` draws for a store."""
    return assign_splits(patients, labels, SplitPlan(0, 5, seed))[1]


def together(fold: np.ndarray, patients: np.ndarray, of: np.ndarray) -> set[tuple[str, str]]:
    """The pairs of these patients that are in the same fold."""
    place = {name: fold[patients == name][0] for name in of}
    return {(a, b) for a, b in combinations(of, 2) if place[a] == place[b]}


def worst_shares(fold: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How far the fold's positive slices of each label are from an equal share at most, as a part of the share."""
    counts = np.array([labels[fold == number].sum(axis=0) for number in range(5)])
    return (np.abs(counts - counts.mean(axis=0)) / counts.mean(axis=0)).max(axis=0)


def test_every_partition_holds_out_each_training_slice_once_and_no_test_slice(store):
    found = partitions(store, 4)
    assert found.shape == (4, len(store))
    assert (found[:, store.test] == -1).all()
    assert {tuple(np.unique(row[store.train])) for row in found} == {(0, 1, 2, 3, 4)}


def test_no_patient_is_in_two_folds_of_a_partition(store):
    for row in partitions(store, 4):
        for patient in np.unique(store.patients):
            assert len(set(row[store.patients == patient])) == 1


def test_the_first_partition_is_the_stores_own_and_more_begin_with_fewer(store):
    np.testing.assert_array_equal(partitions(store, 1)[0], store.table["fold"])
    np.testing.assert_array_equal(partitions(store, 4)[:2], partitions(store, 2))


def test_folds_are_as_large_and_as_rich_in_positives_as_scikit_learns():
    names, labels = heads(3, 300)
    ours = np.mean([worst_shares(drawn(seed, names, labels), labels) for seed in range(10)], axis=0)
    theirs = np.mean(
        [worst_shares(by_scikit_learn(seed, names, labels), labels) for seed in range(10)], axis=0
    )
    assert (ours < theirs + 0.05).all()
    sizes = np.bincount(drawn(0, names, labels))
    assert np.ptp(sizes) < 0.05 * sizes.mean()


def test_patients_of_a_label_with_as_many_as_folds_are_in_one_fold_each():
    names, labels = heads(3, 100)
    labels[:, 0] = 0
    for name in (rare := np.unique(names)[::20]):
        labels[np.flatnonzero(names == name)[:3], 0] = 1
    folds = [drawn(seed, names, labels) for seed in range(20)]
    assert all({fold[names == name][0] for name in rare} == {0, 1, 2, 3, 4} for fold in folds)


def test_positive_patients_part_in_another_partition_which_a_seed_of_scikit_learns_does_not_do():
    names, labels = heads(3, 60)
    positive = np.unique(names[labels[:, 5] == 1])

    def kept(draw: Callable[[int, np.ndarray, np.ndarray], np.ndarray]) -> float:
        first, *others = (together(draw(seed, names, labels), names, positive) for seed in range(9))
        return float(np.mean([len(first & other) / len(first) for other in others]))

    assert kept(drawn) == pytest.approx(0.2, abs=0.1)  # about one in five by chance
    assert kept(by_scikit_learn) > 0.5


def test_no_fold_is_empty_with_one_patient_for_each():
    names, labels = heads(1, 5)
    assert sorted(set(drawn(0, names, labels))) == [0, 1, 2, 3, 4]


@pytest.fixture
def changed(store: SliceStore, tmp_path: Path) -> SliceStore:
    """A store whose folds hold out whole sources."""
    other = made_up_store(tmp_path / "store", 500)
    write_info(other.path, replace(other.info, sources=("a", "b"), folds_by_source=True))
    return SliceStore.open(other.path)


def test_folds_by_source_are_refused_with_what_to_do(changed):
    with pytest.raises(InputError, match=r"--repeats-cv 2: each fold .* whole source.*number of --folds"):
        partitions(changed, 2)
    assert partitions(changed, 1).shape == (1, 500)


def test_patients_that_are_a_fold_each_are_refused(tmp_path):
    small = made_up_store(tmp_path / "store", 6 * 35)  # five patients in five folds, and the test set's
    with pytest.raises(InputError, match=r"5 patients in 5 folds gave only 1 different partition"):
        partitions(small, 3)
