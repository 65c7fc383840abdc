from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from ichtune.data.options import PrepareOptions
from ichtune.data.sources import open_source
from ichtune.errors import InputError
from ichtune.labels import LABELS
from tests.made_up.dicom import head, long_table, write_dicom


def opened(root: Path, labels: Path | None = None, kind: str = "auto"):
    return open_source(root, labels, PrepareOptions(format=kind))


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


def test_duplicate_rsna_rows_count_once_and_conflicts_reject_the_slice(tmp_path):
    write_rsna(tmp_path, {"ID_a": (0,) * 6, "ID_b": (0,) * 6, "ID_c": (0,) * 6}, ["ID_a", "ID_b", "ID_c"])
    table = long_table({"ID_a": (0,) * 6, "ID_b": (0,) * 6, "ID_c": (0,) * 6})
    other = table.assign(Label=lambda t: t["Label"].where(t["ID"] != "ID_b_any", 1))
    pd.concat([table, other]).to_csv(tmp_path / "labels.csv", index=False)
    source = opened(tmp_path)
    assert source.entries["slice_id"].tolist() == ["ID_a", "ID_c"]
    assert reasons(source) == {"ID_b.dcm": "contradictory labels: any is in the CSV with different values"}


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


def test_columns_match_despite_case_spaces_and_byte_order_mark(tmp_path):
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
    assert source.notes[:2] == (
        "Columns read under another name: hemorrhage as any.",
        "The labels are binary: only 'any' is known, the five subtypes are missing values.",
    )


def test_any_follows_from_the_subtypes_where_it_has_no_column(tmp_path):
    write_images(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "labels.csv").write_text(
        "file,epidural,intraparenchymal,intraventricular,subarachnoid,subdural\n"
        "a.png,0,0,0,1,0\nb.png,0,0,0,0,0\nc.png,0,,0,0,0\n"
    )
    np.testing.assert_array_equal(opened(tmp_path).entries["any"], [1, 0, np.nan])


def test_any_follows_from_a_subtype_where_its_own_cell_is_empty(tmp_path):
    write_images(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "labels.csv").write_text("file,any,subdural\na.png,,1\nb.png,,0\nc.png,0,0\n")
    np.testing.assert_array_equal(opened(tmp_path).entries["any"], [1, np.nan, 0])


def test_images_are_found_by_path_name_or_stem(tmp_path):
    write_images(tmp_path, ["x/a.png", "x/b.png", "y/c.png"])
    (tmp_path / "labels.csv").write_text("id,any,patient\nx/a.png,0,1\nb,1,2\nc.png,0,3\n")
    assert opened(tmp_path).entries["file"].tolist() == ["x/a.png", "x/b.png", "y/c.png"]


def test_ct_ich_is_known_by_its_folder_and_any_is_not_no_hemorrhage(tmp_path):
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
        ("", "the table is empty"),
        ("id,any\n", "has a header but no rows"),
        ("foo,bar\n1,2\n", "no column identifies the image of a row"),
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
    with pytest.raises(InputError, match="no CSV with labels here; pass it with --labels"):
        opened(tmp_path)
    for name in "xy":
        (tmp_path / f"{name}.csv").write_text("id,any\na,1\n")
    with pytest.raises(
        InputError, match=r"2 CSV files here \(x.csv, y.csv\); pass the one with the labels with --labels"
    ):
        opened(tmp_path)
    with pytest.raises(InputError, match=r"z.csv: no such labels file"):
        opened(tmp_path, tmp_path / "z.csv")


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        opened(tmp_path / "gone")


def test_labels_go_to_the_files_in_the_table_and_not_to_copies_in_old(tmp_path):
    write_images(tmp_path, ["im3.png", "im4.png", "old/im3.png"])
    (tmp_path / "labels.csv").write_text("file,any\nim3.png,1\nim4.png,0\n")
    source = opened(tmp_path)
    assert source.entries["file"].tolist() == ["im3.png", "im4.png"]
    assert reasons(source) == {"old/im3.png": "another file of this name, 'im3.png', has its labels"}


def test_a_name_that_fits_an_image_and_its_mask_is_rejected_with_both(tmp_path):
    write_images(tmp_path, ["images/im3.png", "masks/im3.png", "images/im4.png"])
    (tmp_path / "labels.csv").write_text("file,any\nim3.png,1\nim4.png,0\n")
    source = opened(tmp_path)
    assert source.entries["file"].tolist() == ["images/im4.png"]
    assert set(reasons(source)) == {"images/im3.png", "masks/im3.png"}
    assert "fits 2 files: 'images/im3.png', 'masks/im3.png'" in reasons(source)["images/im3.png"]


def test_all_of_head_ct_is_found_by_its_numbers(tmp_path):
    # Kaggle's head-ct-hemorrhage: ids 0 to 199, files 000.png to 199.png, a blank before the column's name.
    write_images(tmp_path, [f"head_ct/{number:03d}.png" for number in range(200)])
    rows = "".join(f"{number},{int(number < 100)}\n" for number in range(200))
    (tmp_path / "labels.csv").write_text("id, hemorrhage\n" + rows)
    source = opened(tmp_path)
    assert source.rejected.empty
    assert source.entries["file"].tolist() == [f"head_ct/{number:03d}.png" for number in range(200)]
    assert source.entries["any"].tolist() == [1] * 100 + [0] * 100
    assert "100 names as numbers (0 is head_ct/000.png)" in source.notes[-1]


def test_two_columns_that_name_different_images_are_not_chosen_between(tmp_path):
    write_images(tmp_path, ["0.png", "1.png", "2.png"])
    (tmp_path / "labels.csv").write_text("id,name,any\n0,2.png,1\n1,1.png,0\n2,0.png,0\n")
    with pytest.raises(
        InputError, match=r"line 2 is about '0.png' by its column id, but about '2.png' by name;"
    ):
        opened(tmp_path)
    (tmp_path / "labels.csv").write_text("id,file,any\n0,2.png,1\n1,1.png,0\n2,0.png,0\n")
    assert opened(tmp_path).entries["any"].tolist() == [0, 0, 1]


def test_numbers_within_scans_do_not_contest_the_names_of_images(tmp_path):
    write_images(tmp_path, ["1.png", "2.png", "3.png", "4.png"])
    (tmp_path / "labels.csv").write_text("id,slice,any\n1,1,1\n2,2,0\n3,1,0\n4,2,0\n")
    assert opened(tmp_path).entries["any"].tolist() == [1, 0, 0, 0]


def test_slices_are_found_by_their_sop_instance_uid(tmp_path):
    for number in range(3):
        path = write_dicom(tmp_path / f"CT{number}.dcm", head((8, 8), 0), SOPInstanceUID=f"1.2.840.{number}")
        assert pydicom.dcmread(path).SOPInstanceUID == f"1.2.840.{number}"
    (tmp_path / "labels.csv").write_text("SOPInstanceUID,any\n1.2.840.2,1\n1.2.840.0,0\n1.2.840.1,0\n")
    entries = opened(tmp_path).entries
    assert entries[["file", "slice_id", "any"]].to_numpy().tolist() == [
        ["CT0.dcm", "1.2.840.0", 0],
        ["CT1.dcm", "1.2.840.1", 0],
        ["CT2.dcm", "1.2.840.2", 1],
    ]


def test_a_slice_id_in_two_folders_is_one_slice_only_if_the_files_match(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        write_dicom(tmp_path / folder / "ID_same.dcm", head((8, 8), 0), SOPInstanceUID="1.2")
        write_dicom(tmp_path / folder / "ID_other.dcm", head((8, 8), ord(folder)), SOPInstanceUID="1.3")
    long_table({"ID_same": (0,) * 6, "ID_other": (0,) * 6}).to_csv(tmp_path / "labels.csv", index=False)
    source = opened(tmp_path)
    assert source.entries["file"].tolist() == ["a/ID_same.dcm"]
    assert set(reasons(source)) == {"a/ID_other.dcm", "b/ID_other.dcm"}
    assert "another file of the same name: 1 (the first: b/ID_same.dcm)" in source.notes[-1]


def test_two_formats_of_one_slice_are_never_two_slices_of_one_id(tmp_path):
    write_images(tmp_path, ["a.png", "a.jpg", "b.png"])
    (tmp_path / "labels.csv").write_text("file,any\na.png,1\na.jpg,1\nb.png,0\n")
    source = opened(tmp_path)
    assert source.entries["slice_id"].tolist() == ["b"]
    assert reasons(source)["a.png"] == "two files with the slice id 'a': 'a.jpg', 'a.png'"


def test_abbreviations_and_hematomas_are_labels_and_the_rest_is_listed(tmp_path):
    write_images(tmp_path, ["a.png", "b.png"])
    (tmp_path / "labels.csv").write_text(
        "file,patient,ICH,epidural_hematoma,IPH,IVH,SAH,SDH,Midline Shift\n"
        "a.png,1,1,1,0,0,0,0,5\nb.png,2,0,0,0,0,0,0,\n"
    )
    source = opened(tmp_path)
    assert source.entries[list(LABELS)].to_numpy().tolist() == [[1, 0, 0, 0, 0, 1], [0] * 6]
    assert "Columns not understood, and not used: Midline Shift." in source.notes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file,any,ICH\na.png,1,0\nb.png,0,0\n", "any and ich disagree"),
        ("file,any,Normal\na.png,1,1\nb.png,0,1\n", "any and normal disagree"),
        ("file,any,SDH\n\na.png,0,1\nb.png,0,0\n", "a subtype is 1 but any is 0"),
        ("file,any\n\na.png,maybe\nb.png,0\n", "a label that is neither 0 nor 1: any is 'maybe' (line 3)"),
    ],
)
def test_a_row_that_contradicts_itself_or_is_no_label_is_rejected_alone(tmp_path, text, reason):
    write_images(tmp_path, ["a.png", "b.png"])
    (tmp_path / "labels.csv").write_text(text)
    source = opened(tmp_path)
    assert source.entries["file"].tolist() == ["b.png"]
    assert reason in reasons(source)["a.png"]


def test_where_nothing_matches_both_ways_of_naming_are_shown(tmp_path):
    write_images(tmp_path, ["imgs/scan001.png"])
    (tmp_path / "labels.csv").write_text("id,any\nbrain1,1\n")
    with pytest.raises(InputError, match=r"names its images as 'brain1', the folder as 'imgs/scan001\.png'"):
        opened(tmp_path)


def test_a_row_that_names_no_image_is_rejected_by_its_line(tmp_path):
    write_images(tmp_path, ["a.png"])
    (tmp_path / "labels.csv").write_text("file,any\na.png,1\n\n ,0\n")
    assert set(reasons(opened(tmp_path))) == {"line 4"}


def test_folders_that_only_the_table_knows_stay_out_of_the_slice_ids(tmp_path):
    write_images(tmp_path, ["imgs/a.png"])
    (tmp_path / "labels.csv").write_text("file,any\n/home/jane doe/ct/imgs/a.png,1\n")
    assert opened(tmp_path).entries[["file", "slice_id"]].to_numpy().tolist() == [["imgs/a.png", "imgs/a"]]
