import numpy as np
import pandas as pd
import pytest

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.scans import Scans
from ichtune.data.slice_table import REQUIRED, with_all_columns
from ichtune.data.store import SliceStore
from ichtune.labels import LABELS
from tests.made_up.dicom import head, long_table, write_dicom


def slices(rows: list[tuple[str, str, float]], **columns: object) -> pd.DataFrame:
    """A store's table of (patient, series, z) rows."""
    table = pd.DataFrame(rows, columns=["patient_id", "series_id", "z_mm"])
    blank = {"slice_id": "", "study_id": "", "split": "train", "fold": 0, **dict.fromkeys(LABELS, 0)}
    return with_all_columns(table.assign(**{**blank, **columns}))


TWO = slices([("p", "a", 10.0), ("p", "b", 0.0), ("p", "a", 0.0), ("p", "a", 5.0), ("p", "b", 2.5)])


def test_a_scans_rows_go_from_the_feet_to_the_head():
    scans = Scans.of(TWO)
    assert [scans.rows(scan).tolist() for scan in range(len(scans))] == [[2, 3, 0], [1, 4]]
    assert scans.of_row.tolist() == [0, 1, 0, 0, 1]


def test_neighbours_stay_in_the_scan_and_repeat_its_ends():
    assert Scans.of(TWO).neighbours(np.array([3, 0, 1]), 1).tolist() == [[2, 3, 0], [3, 0, 0], [1, 1, 4]]
    assert Scans.of(TWO).neighbours(np.array([2]), 2).tolist() == [[2, 2, 2, 3, 0]]


def test_a_slice_without_a_position_has_no_neighbours():
    scans = Scans.of(slices([("p", "a", np.nan), ("p", "a", 1.0), ("p", "a", 0.0), ("q", "c", np.nan)]))
    found = scans.neighbours(np.array([0, 1, 3]), 1)
    assert found.tolist() == [[0, 0, 0], [2, 1, 1], [3, 3, 3]]


def test_the_spacing_of_a_scan_is_the_median_distance_of_its_slices():
    scans = Scans.of(slices([("p", "a", z) for z in (0.0, 5.0, 10.0, 20.0)] + [("q", "b", 3.0)]))
    assert scans.table["spacing_mm"].tolist() == [5.0, pytest.approx(np.nan, nan_ok=True)]
    assert scans.table["slices"].tolist() == [4, 1]


def test_a_scan_is_positive_if_a_slice_is_and_negative_if_all_are_known_to_be():
    table = slices([("p", "a", 0.0), ("p", "a", 1.0), ("q", "b", 0.0), ("q", "b", 1.0)])
    table["subdural"] = pd.array([1, None, 0, None], "Int8")
    labels = Scans.of(table).labels
    assert labels[:, LABELS.index("subdural")].tolist() == [1, pytest.approx(np.nan, nan_ok=True)]
    assert labels[:, LABELS.index("any")].tolist() == [0, 0]


def test_a_scans_own_label_counts_before_those_of_its_slices():
    table = slices([("p", "a", 0.0), ("p", "a", 1.0)], any=pd.array([None, None], "Int8"), scan_any=1)
    assert Scans.of(table).labels[0, LABELS.index("any")] == 1


def test_a_store_knows_position_thickness_pixel_size_and_description(tmp_path):
    root = tmp_path / "rsna"
    root.mkdir()
    labels = {}
    for patient in range(4):
        for k in range(3):
            name = f"ID_{patient}{k}"
            labels[name] = (0,) * 6
            write_dicom(
                root / f"{name}.dcm",
                head((32, 32), 10 * patient + k),
                PatientID=f"P{patient}",
                StudyInstanceUID=f"1.{patient}",
                SeriesInstanceUID=f"1.{patient}.1",
                SeriesDescription="HEAD 5mm",
                ImagePositionPatient=[0, 0, 7.5 - 2.5 * k],
                SliceThickness="2.5",
                PixelSpacing=[0.5, 0.5],
            )
    long_table(labels).to_csv(root / "labels.csv", index=False)
    store = prepare(
        root, tmp_path / "store", PrepareOptions(size=16, folds=2, workers=1, test_fraction=0)
    ).store
    first = store.scans.table.iloc[0]
    assert first[["series_description", "slices", "spacing_mm", "thickness_mm"]].tolist() == [
        "HEAD 5mm",
        3,
        2.5,
        2.5,
    ]
    assert first["pixel_mm"] == 1.0  # 32 pixels of 0.5 mm, stored as 16
    names = store.table["slice_id"].to_numpy()[store.scans.rows(0)]
    assert names.tolist() == ["ID_02", "ID_01", "ID_00"]


def test_a_store_of_version_1_opens_and_its_new_columns_are_empty(small_store):
    file = small_store.path / "slices.parquet"
    small_store.table[list(REQUIRED)].to_parquet(file, write_page_checksum=True)
    about = small_store.path / "store.json"
    kept = [
        line
        for line in about.read_text().splitlines()
        if '"sources"' not in line and "_by_source" not in line
    ]
    about.write_text("\n".join(kept).replace('"version": 2', '"version": 1'))
    store = SliceStore.open(small_store.path)
    assert store.info.version == 1
    assert store.table["source"].tolist() == [""] * 30
    assert store.table["scan_any"].isna().all()
    assert len(store.scans) > 0
