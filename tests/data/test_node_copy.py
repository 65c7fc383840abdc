"""Stores at a URI: copied once to a machine's disk, checked, and within a limit."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ichtune.data import node_copy
from ichtune.data.slice_table import StoreError
from ichtune.data.store import SliceStore
from ichtune.errors import InputError


@pytest.fixture(autouse=True)
def stores(tmp_path, monkeypatch) -> Iterator[Path]:
    """The folder of the copies, which this process uses no longer after the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(node_copy, "_held", {})
    yield tmp_path / "cache" / "ichtune" / "stores"
    let_go()


def let_go() -> None:
    """As if this process had ended."""
    while node_copy._held:
        os.close(node_copy._held.popitem()[1])


@pytest.fixture
def away(prepared, tmp_path) -> Path:
    return Path(shutil.copytree(prepared.path, tmp_path / "away" / "heads"))


def test_a_store_at_a_uri_is_a_copy_on_this_disk_with_the_same_content(away, prepared, stores):
    store = SliceStore.open(away.as_uri())
    assert store.place == away.as_uri()
    assert store.path == stores / prepared.fingerprint / "heads"
    assert np.array_equal(store.hu, prepared.hu)
    assert store.table.equals(prepared.table)


def test_two_processes_at_once_copy_once(away):
    script = (
        f"from ichtune.data.store import SliceStore; print(SliceStore.open({away.as_uri()!r}).fingerprint)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=-1, stderr=-1, text=True) for _ in range(2)
    ]
    told = [process.communicate(timeout=120) for process in both]
    assert told[0][0] == told[1][0] != ""
    assert sum("copying heads" in errors for _, errors in told) == 1


def test_a_copy_is_not_made_again(away):
    before = SliceStore.open(away.as_uri()).path.stat().st_ino
    (away / "hu.npy").write_bytes(b"")
    assert SliceStore.open(away.as_uri()).path.stat().st_ino == before


@pytest.mark.parametrize("file", ["hu.npy", "slices.parquet", "digests.npy"])
def test_a_truncated_upload_is_refused_and_leaves_no_copy(away, stores, file):
    os.truncate(away / file, (away / file).stat().st_size // 2)
    with pytest.raises(StoreError, match="not fully uploaded"):
        SliceStore.open(away.as_uri())
    assert not list(stores.glob("*/*"))


def test_pixels_that_changed_on_the_way_are_refused(away):
    with open(away / "hu.npy", "r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"\x07\x07")
    with pytest.raises(StoreError, match="pixels of 1 slices differ"):
        SliceStore.open(away.as_uri())


def test_a_full_cache_drops_the_copy_unused_for_longest_but_none_in_use(
    away, other, tmp_path, stores, monkeypatch
):
    second = Path(shutil.copytree(other.path, tmp_path / "away" / "others"))
    kept = SliceStore.open(away.as_uri())
    size = sum(file.stat().st_size for place in (away, second) for file in place.glob("*.*"))
    monkeypatch.setenv("ICHTUNE_CACHE_GB", f"{(size - 1000) / 1e9:.9f}")
    with pytest.raises(InputError, match="beside the stores in use: ICHTUNE_CACHE_GB allows"):
        SliceStore.open(second.as_uri())
    assert kept.path.is_dir()
    let_go()
    assert SliceStore.open(second.as_uri()).path.is_dir()
    assert not kept.path.exists()


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("file:///nowhere/store", "file:///nowhere/store: not a finished slice store"),
        ("s3://key:secret@bucket/store", "the URI holds credentials"),
        ("nothing://place", "nothing://place: "),
    ],
)
def test_a_uri_without_a_usable_store_is_told(uri, told):
    with pytest.raises(InputError, match=told):
        SliceStore.open(uri)


def test_a_limit_that_is_no_number_is_told(away, monkeypatch):
    monkeypatch.setenv("ICHTUNE_CACHE_GB", "plenty")
    with pytest.raises(InputError, match="ICHTUNE_CACHE_GB: must be a number of gigabytes, got 'plenty'"):
        SliceStore.open(away.as_uri())
