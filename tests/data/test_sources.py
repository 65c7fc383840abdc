from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ichtune.data.sources import open_source
from ichtune.data.windows import WINDOWS
from ichtune.errors import InputError
from ichtune.labels import LABELS
from tests.conftest import head, long_table, write_dicom


def opened(root: Path, labels: Path | None = None, kind: str = "auto"):
    return open_source(root, labels=labels, kind=kind, window=WINDOWS["brain"])


def reasons(source) -> dict[str, str]:
    return dict(zip(source.rejected["file"], source.rejected["reason"], strict=True))


def write_images(root: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(root / name)


def write_rsna(root: Path, labels: dict[str, tuple[int, ...]], files: list[str]) -> None:
    for name in files:
        write_dicom(root / f"{name}.dcm", head((8, 8), 0))
    long_table(labels).to_csv(root / "labels.csv", index=False)


def test_a_folder_with_the_long_csv_is_told_to_be_rsna(tmp_path):
    write_rsna(tmp_path, {"ID_a": (1, 0, 0, 0, 0, 1), "ID_b": (0,) * 6}, ["ID_a", "ID_b"])
    source = opened(tmp_path)
    assert source.format == "rsna"
    assert source.entries[["slice_id", *LABELS]].to_numpy().tolist() == [
        ["ID_a", 1, 0, 0, 0, 0, 1],
        ["ID_b", 0, 0, 0, 0, 0, 0],
    ]


def test_the_same_rsna_rows_twice_count_once_and_different_ones_reject_the_slice(tmp_path):
    write_rsna(tmp_path, {"ID_a": (0,) * 6, "ID_b": (0,) * 6, "ID_c": (0,) * 6}, ["ID_a", "ID_b", "ID_c"])
    table = long_table({"ID_a": (0,) * 6, "ID_b": (0,) * 6, "ID_c": (0,) * 6})
    other = table.assign(Label=lambda t: t["Label"].where(t["ID"] != "ID_b_any", 1))
    pd.concat([table, other]).to_csv(tmp_path / "labels.csv", index=False)
    source = opened(tmp_path)
    assert source.entries["slice_id"].tolist() == ["ID_a", "ID_c"]
    assert reasons(source) == {
        "ID_b.dcm": "contradictory labels: any stands in the CSV with different values"
    }


def test_files_without_labels_and_labels_without_files_are_named(tmp_path):
    write_rsna(tmp_path, {"ID_a": (0,) * 6, "ID_gone": (0,) * 6}, ["ID_a", "ID_new"])
    (tmp_path / "ID_text.dcm").write_text("not one")
    found = reasons(opened(tmp_path))
    assert found["ID_gone.dcm"].startswith("labels without a file")
    assert found["ID_new.dcm"].startswith("a file without labels")
    assert found["ID_text.dcm"].startswith("not a DICOM file")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t[t["ID"] != "ID_b_any"], "incomplete labels: 5 of 6 rows"),
        (
            lambda t: t.assign(Label=t["Label"].where(t["ID"] != "ID_b_epidural", 1)),
            "a subtype is 1 but any is 0",
        ),
        (lambda t: t.assign(Label=t["Label"].where(t["ID"] != "ID_b_any", 3)), "neither 0 nor 1: any"),
    ],
)
def test_rsna_labels_that_cannot_be_used_reject_their_slice_alone(tmp_path, change, reason):
    write_rsna(tmp_path, {"ID_a": (0,) * 6, "ID_b": (0,) * 6}, ["ID_a", "ID_b"])
    change(long_table({"ID_a": (0,) * 6, "ID_b": (0,) * 6})).to_csv(tmp_path / "labels.csv", index=False)
    source = opened(tmp_path)
    assert source.entries["slice_id"].tolist() == ["ID_a"]
    assert reason in reasons(source)["ID_b.dcm"]


def test_columns_are_matched_whatever_their_case_spaces_and_byte_order_mark(tmp_path):
    write_images(tmp_path, ["a.png", "b.png"])
    text = "\ufeffImage_ID, Patient ID ,EPIDURAL,Intra-Parenchymal,intra ventricular,Subarachnoid,sub_dural,ANY\n"
    (tmp_path / "labels.csv").write_text(text + "a,p1,1,0,0,0,0,1\nb,p2,0,0,0,0,0,0\n", encoding="utf-8")
    entries = opened(tmp_path).entries
    assert entries["patient_id"].tolist() == ["p1", "p2"]
    assert entries["epidural"].tolist() == [1, 0]


def test_a_binary_label_becomes_any_and_the_subtypes_stay_missing(tmp_path):
    write_images(tmp_path, ["x/a.png", "y/b.jpg"])
    (tmp_path / "labels.csv").write_text("file;hemorrhage;patient\nx/a.png;yes;1\ny/b.jpg;no;2\n")
    source = opened(tmp_path)
    assert source.entries["any"].tolist() == [1, 0]
    assert source.entries[list(LABELS[:5])].isna().all(axis=None)
    assert "The labels are binary" in source.notes[0]


def test_any_follows_from_the_subtypes_where_it_has_no_column(tmp_path):
    write_images(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "labels.csv").write_text(
        "file,epidural,intraparenchymal,intraventricular,subarachnoid,subdural\n"
        "a.png,0,0,0,1,0\nb.png,0,0,0,0,0\nc.png,0,,0,0,0\n"
    )
    np.testing.assert_array_equal(opened(tmp_path).entries["any"], [1, 0, np.nan])


def test_without_a_patient_column_the_source_says_that_leaks_cannot_be_ruled_out(tmp_path):
    write_images(tmp_path, ["a.png"])
    (tmp_path / "labels.csv").write_text("id,any\na,1\n")
    source = opened(tmp_path)
    assert not source.patients_known
    assert "Leaks can't be ruled out" in source.notes[0]


def test_images_are_found_by_path_name_or_stem(tmp_path):
    write_images(tmp_path, ["x/a.png", "x/b.png", "y/c.png"])
    (tmp_path / "labels.csv").write_text("id,any,patient\nx/a.png,0,1\nb,1,2\nc.png,0,3\n")
    assert opened(tmp_path).entries["file"].tolist() == ["x/a.png", "x/b.png", "y/c.png"]


def test_ct_ich_is_told_by_its_folder_and_any_is_the_opposite_of_no_hemorrhage(tmp_path):
    write_images(tmp_path, [f"Patients_CT/049/brain/{k}.jpg" for k in (1, 2, 3)])
    (tmp_path / "hemorrhage_diagnosis.csv").write_text(
        "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,"
        "No_Hemorrhage,Fracture_Yes_No\n49,1,0,0,0,0,0,1,0\n49,2,0,0,0,1,0,0,1\n49,4,0,0,0,0,0,1,0\n"
    )
    source = opened(tmp_path)
    assert source.format == "ct-ich"
    assert source.entries[["patient_id", "z_mm", "epidural", "any"]].to_numpy().tolist() == [
        ["049", 5.0, 0, 0],
        ["049", 10.0, 1, 1],
    ]
    assert set(reasons(source)) == {"Patients_CT/049/brain/3.jpg", "Patients_CT/049/brain/4.jpg"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the labels file is empty"),
        ("id,any\n", "has a header but no rows"),
        ("foo,bar\n1,2\n", "no column says which image a row is about"),
        ("id,colour\na,red\n", "no label column"),
        ("id,any,Any\na,1,1\n", "two columns are named 'any'"),
    ],
)
def test_a_csv_that_is_of_no_use_is_one_clear_error(tmp_path, text, message):
    write_images(tmp_path, ["a.png"])
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        opened(tmp_path, kind="images")


def test_a_csv_that_is_missing_or_not_the_only_one_is_asked_for(tmp_path):
    write_images(tmp_path, ["a.png"])
    with pytest.raises(InputError, match="no CSV with labels here; name it with --labels"):
        opened(tmp_path)
    for name in "xy":
        (tmp_path / f"{name}.csv").write_text("id,any\na,1\n")
    with pytest.raises(InputError, match=r"2 CSV files here \(x.csv, y.csv\); say with --labels"):
        opened(tmp_path)
    with pytest.raises(InputError, match=r"z.csv: no such labels file"):
        opened(tmp_path, tmp_path / "z.csv")


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        opened(tmp_path / "gone")
