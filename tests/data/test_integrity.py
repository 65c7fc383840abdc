import os
from pathlib import Path

import numpy as np
import pytest

from ichtune.data.inspect.integrity import damage
from ichtune.data.store import SliceStore, StoreError


def flip(file: Path, place: int) -> None:
    """Turn over one bit of a file."""
    with open(file, "r+b") as stream:
        stream.seek(place)
        (byte,) = stream.read(1)
        stream.seek(place)
        stream.write(bytes([byte ^ 4]))


def damaged(store: SliceStore) -> str | None:
    return damage(SliceStore.open(store.path))


def test_a_sound_store_has_no_damage(small_store):
    seen = []
    assert damage(small_store, lambda done, total, remark: seen.append((done, total))) is None
    assert seen == [(30, 30)]


def test_a_flipped_bit_names_its_slice(small_store):
    file = small_store.path / "hu.npy"
    flip(file, 128 + 7 * 32 * 32 * 2 + 101)  # behind numpy's header, in the eighth slice
    found = damaged(small_store)
    assert found is not None
    assert found.startswith(f"{file}: changed")
    assert f"the pixels of 1 slices differ: {small_store.table['slice_id'][7]};" in found
    assert "prepare the store again" in found


def test_other_digests_are_not_taken_for_other_pixels(small_store):
    flip(small_store.path / "digests.npy", 128 + 3 * 8)
    found = damaged(small_store)
    assert found is not None
    assert found.startswith(f"{small_store.path / 'digests.npy'}: changed")


def test_another_table_is_found_out(small_store):
    table = small_store.table.assign(fold=small_store.table["fold"].to_numpy()[::-1])
    table.to_parquet(small_store.path / "slices.parquet", index=False)
    found = damaged(small_store)
    assert found is not None
    assert found.startswith(f"{small_store.path / 'slices.parquet'}: changed")


def test_no_flipped_bit_in_the_table_is_read_as_data(small_store):
    file = small_store.path / "slices.parquet"
    sound, (_, table) = file.read_bytes(), _opened(small_store)
    for place in np.random.default_rng(0).choice(len(sound), 200, replace=False):
        flip(file, int(place))
        error, read = _opened(small_store)
        if error:
            assert error.startswith(f"{file}: damaged")
            assert error.endswith("prepare the store again")
        else:  # a flip where the file describes itself (its statistics, say) changes nothing that is read
            assert read == table
        file.write_bytes(sound)


def _opened(store: SliceStore) -> tuple[str, list[list[str]]]:
    """The error that opening the table gives, or its cells."""
    try:
        return "", SliceStore.open(store.path).table.astype(str).to_numpy().tolist()
    except StoreError as error:
        return str(error), []


@pytest.mark.parametrize("name", ["digests.npy", "slices.parquet"])
def test_a_truncated_file_is_named_with_its_mend(small_store, name):
    file = small_store.path / name
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(StoreError, match=rf"{name}: damaged or missing .*prepare the store again"):
        damaged(small_store)
