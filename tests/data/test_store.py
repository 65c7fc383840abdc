import json
import time

import numpy as np
import pandas as pd
import pytest

from ichtune.data.slice_table import COLUMNS
from ichtune.data.store import SliceStore, StoreError, StoreInfo, write_info
from ichtune.labels import LABELS


def test_folds_cover_the_training_rows_once_and_never_the_test_set(small_store):
    held_out = np.concatenate([valid for _, valid in small_store.fold_indices()])
    assert sorted(held_out) == small_store.train.tolist()
    for train, valid in small_store.fold_indices():
        assert not set(train) & set(valid)
        assert not set(train) & set(small_store.test)
        assert not set(small_store.patients[train]) & set(small_store.patients[valid])


def test_labels_and_pixels_are_had_by_row(small_store):
    assert small_store.labels.shape == (30, len(LABELS))
    assert small_store.labels.dtype == np.float32
    assert small_store.hu[3].shape == (32, 32)
    assert len(small_store) == 30
    with pytest.raises(ValueError, match="read-only"):
        small_store.hu[0, 0, 0] = 1


def change_info(store: SliceStore, **changes: object) -> None:
    path = store.path / "store.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: (s.path / "store.json").unlink(), "not a finished slice store"),
        (lambda s: (s.path / "store.json").write_text("{"), "damaged"),
        (
            lambda s: change_info(s, version=99),
            "a store of version 99, but this ichtune reads versions up to 2",
        ),
        (
            lambda s: change_info(s, slices=31),
            r"holds int16 \(30, 32, 32\), store.json says int16 \(31, 32, 32\)",
        ),
        (lambda s: (s.path / "hu.npy").unlink(), "hu.npy: damaged or missing"),
        (lambda s: (s.path / "hu.npy").write_bytes((s.path / "hu.npy").read_bytes()[:-9]), "hu.npy: damaged"),
        (lambda s: (s.path / "slices.parquet").write_bytes(b"PAR1"), "slices.parquet: damaged"),
        (lambda s: s.table[:-1].to_parquet(s.path / "slices.parquet"), "has 29 rows, store.json says 30"),
    ],
)
def test_a_damaged_store_or_one_of_another_version_is_refused(small_store, damage, message):
    damage(small_store)
    with pytest.raises(StoreError, match=message):
        SliceStore.open(small_store.path)


def test_a_folder_that_is_not_there_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(StoreError, match="no such store; create one with `ichtune prepare SOURCE"):
        SliceStore.open(tmp_path / "gone")


def test_a_store_of_a_million_slices_opens_without_being_read(tmp_path):
    count = 1_000_000
    hu = np.lib.format.open_memmap(tmp_path / "hu.npy", "w+", np.int16, (count, 64, 64))  # a sparse file
    del hu
    table = pd.DataFrame({name: np.zeros(count, np.int8) for name in COLUMNS})
    table.to_parquet(tmp_path / "slices.parquet", index=False)
    info = StoreInfo(1, count, 1, 0, 64, "rsna", None, 0.2, 5, 0, False, True, "f")
    write_info(tmp_path, info)
    SliceStore.open(tmp_path)
    begun = time.process_time()
    store = SliceStore.open(tmp_path)
    assert (
        time.process_time() - begun < 0.5
    )  # reading 8 GB would take far longer; a measured figure is in benchmarks
    assert len(store) == count


def test_a_folder_that_is_no_store_is_called_so_whatever_links_it_has(tmp_path):
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(StoreError, match="not a finished slice store"):
        SliceStore.open(tmp_path)
