"""Numbers of a stranger are numbers, and as many as their file has bytes for."""

import io
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.lib import format as npy

from analysis.results import RankedResults
from ichtune.arrays import map_array
from ichtune.data.store import SliceStore, StoreError
from ichtune.errors import InputError
from ichtune.models.torch_file import load_torch
from ichtune.runs.folder import RunFolder
from ichtune.training.checkpoint import DamagedCheckpoint, load_checkpoint
from tests.made_up.bomb import Bomb


def header(shape: tuple[int, ...], kind: str = "<i2") -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def pickled(mark: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb(mark)], object), allow_pickle=True)
    return stream.getvalue()


def zipped(mark: Path) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(3))
    return stream.getvalue()


HOSTILE_ARRAYS = [
    (pickled, "Python objects"),
    (zipped, "magic string"),
    (lambda mark: pickle.dumps(Bomb(mark)), "magic string"),
    (lambda mark: header((10**6, 10**6)), "declares 2,000,000,000,000 bytes of numbers, but 0 follow"),
    (lambda mark: header((2,)) + b"123", "declares 4 bytes of numbers, but 3 follow"),
    (lambda mark: header((-1, -4)) + b"12345678", "shape"),
]


@pytest.mark.parametrize(("make", "message"), HOSTILE_ARRAYS)
def test_an_array_is_numbers_and_as_large_as_it_says(tmp_path: Path, make, message: str):
    (tmp_path / "a.npy").write_bytes(make(tmp_path / "mark"))
    with pytest.raises(ValueError, match=message):
        map_array(tmp_path / "a.npy")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(("make", "message"), HOSTILE_ARRAYS)
@pytest.mark.parametrize("name", ["hu.npy", "digests.npy"])
def test_a_store_with_such_an_array_is_refused(
    small_store: SliceStore, tmp_path, ichtune, name, make, message
):
    (small_store.path / name).write_bytes(make(tmp_path / "mark"))
    code, _, errors = ichtune("inspect", small_store.path)
    assert code == 2
    assert re.search(message, errors)
    assert "Traceback" not in errors
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(("make", "message"), HOSTILE_ARRAYS)
def test_logits_of_a_run_that_are_such_an_array_are_refused(made_up_copy: RunFolder, tmp_path, make, message):
    for file in made_up_copy.trials.glob("*/out_of_fold.npy"):
        (file.parent / "sha256sums").unlink(missing_ok=True)
        file.write_bytes(make(tmp_path / "mark"))
    with pytest.raises(InputError, match=message):
        _ = RankedResults.of(made_up_copy).best.logits
    assert not (tmp_path / "mark").exists()


def test_a_checkpoint_runs_no_code_and_is_not_decompressed(tmp_path: Path):
    file = tmp_path / "checkpoint.pt"
    torch.save({"model": Bomb(tmp_path / "mark")}, file)
    with pytest.raises(DamagedCheckpoint):
        load_checkpoint(file)
    assert not (tmp_path / "mark").exists()

    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for part in plain.namelist():
            small.writestr(part, plain.read(part))
    assert file.stat().st_size < 20_000
    with pytest.raises(DamagedCheckpoint, match="compressed"):
        load_checkpoint(file)


def test_weights_of_a_file_run_no_code(tmp_path: Path):
    file = tmp_path / "weights.pth"
    file.write_bytes(pickle.dumps(Bomb(tmp_path / "mark"), protocol=2))
    with pytest.raises(ValueError, match=r".+"):
        load_torch(file)
    assert not (tmp_path / "mark").exists()


def write_table_with(store: SliceStore, **columns: object) -> None:
    store.table.assign(**columns).to_parquet(store.path / "slices.parquet", index=False)


def test_an_identifier_that_would_fill_the_memory_is_refused(small_store: SliceStore):
    write_table_with(small_store, patient_id="x" * 2_000)  # one word, which thirty rows repeat
    with pytest.raises(InputError, match="patient_id has a text of 2,000 bytes; the limit is 1,024"):
        _ = SliceStore.open(small_store.path).table


def test_a_table_of_more_data_than_its_rows_can_have_is_refused_unread(small_store: SliceStore):
    write_table_with(small_store, study_id=["y" * 100_000 + str(row) for row in range(30)])
    with pytest.raises(StoreError, match=r"declares 3,\d{3},\d{3} bytes for 30 rows"):
        SliceStore.open(small_store.path)


def test_a_table_of_lists_is_refused(small_store: SliceStore):
    table = pq.read_table(small_store.path / "slices.parquet")
    place = table.column_names.index("study_id")
    lists = table.set_column(place, "study_id", pa.array([[1]] * 30)).replace_schema_metadata(None)
    pq.write_table(lists, small_store.path / "slices.parquet")
    with pytest.raises(InputError, match="study_id holds list"):
        _ = SliceStore.open(small_store.path).table
