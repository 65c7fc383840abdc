import numpy as np
import pandas as pd
import pytest

from ichtune.data.inspect.audit import LEAK, audit, prevalence_shift
from ichtune.data.inspect.examples import draw_examples
from ichtune.data.splits import split_table
from ichtune.data.store import SliceStore
from ichtune.labels import LABELS


def tampered(store: SliceStore, **columns: object) -> SliceStore:
    store.table.assign(**columns).to_parquet(store.path / "slices.parquet", index=False)
    return SliceStore.open(store.path)


def leaks(store: SliceStore) -> list[str]:
    return [finding.text for finding in audit(store) if finding.level == LEAK]


def test_a_sound_store_has_no_leaks(small_store):
    assert leaks(small_store) == []


def test_a_patient_on_both_sides_is_a_leak(small_store):
    patient = small_store.table["patient_id"].where(
        small_store.table.index != small_store.test[0], "ID_00000000"
    )
    assert any(
        "patients are in two splits or folds" in text
        for text in leaks(tampered(small_store, patient_id=patient))
    )


def test_the_same_pixels_in_two_splits_are_a_leak_and_named(small_store):
    digests = np.load(small_store.path / "digests.npy")
    one, other = small_store.test[0], small_store.train[0]
    digests[one] = digests[other]
    np.save(small_store.path / "digests.npy", digests)
    (text,) = leaks(small_store)
    assert "2 slices have the same pixels as another" in text
    assert small_store.table["slice_id"][one] in text


def slices(rows: list[tuple[str, str, int]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["split", "patient_id", "any"])
    return table.assign(**dict.fromkeys(LABELS[:5], pd.NA), fold=0)


def test_the_shift_of_a_prevalence_has_its_error_by_patient():
    # Train: patients with 2 of 4 and 0 of 4 slices positive. Share 1/4, residuals (1, -1),
    # variance 2/(2-1) * 2 / 8^2 = 1/16. Test: two patients of 1 slice, both positive: 1 with error 0.
    rows = (
        [("train", "a", k) for k in (1, 1, 0, 0)]
        + [("train", "b", 0)] * 4
        + [("test", "c", 1), ("test", "d", 1)]
    )
    (row,) = prevalence_shift(slices(rows)).itertuples()
    assert (row.label, row.train, row.test, row.difference) == ("any", 0.25, 1.0, 0.75)
    assert row.standard_error == pytest.approx(0.25)


def test_the_table_of_splits_counts_slices_and_patients():
    rows = [("train", "a", 1), ("train", "a", 1), ("train", "b", 0), ("test", "c", 0)]
    table = split_table(slices(rows)).set_index("part")
    assert table.loc["train", ["patients", "slices", "any_slices", "any_patients"]].tolist() == [2, 3, 2, 1]
    assert table.loc["train", "any_prevalence"] == pytest.approx(2 / 3)
    assert table.loc["test", "any_slices"] == 0
    assert np.isnan(table.loc["test", "epidural_prevalence"])


def test_the_picture_is_drawn(small_store, tmp_path):
    draw_examples(small_store, tmp_path / "inspect.png")
    assert (tmp_path / "inspect.png").stat().st_size > 10_000
