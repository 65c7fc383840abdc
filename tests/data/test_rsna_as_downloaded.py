"""RSNA 2019 in the folders that people have: as downloaded, copied, as PNG, and with what else lies there."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.sources import Source, open_source
from ichtune.labels import LABELS
from tests.made_up.dicom import head, long_table, write_dicom

SIX = {"ID_a": (1, 0, 0, 0, 0, 1), "ID_b": (0,) * 6}


def opened(root: Path, kind: str = "auto", labels: Path | None = None) -> Source:
    return open_source(root, labels, PrepareOptions(format=kind))


def write(root: Path, *files: str) -> None:
    """A DICOM slice, a PNG, or a text by each file's name."""
    for number, name in enumerate(files):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith((".png", ".jpg")):
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(path)
        elif name.endswith((".dcm", "\n", ".5", ".6", ".7")) or path.name.startswith("ID_"):
            write_dicom(path, head((8, 8), number))
        else:
            path.write_text("no slice")


def write_table(root: Path, name: str = "stage_2_train.csv", labels=SIX) -> None:
    long_table(labels).to_csv(root / name, index=False)
    submission = long_table({"ID_t": (0,) * 6}).assign(Label=0.5)
    submission.to_csv(root / "stage_2_sample_submission.csv", index=False)


def of(source: Source) -> tuple[list[str], dict[str, str]]:
    rejected = dict(zip(source.rejected["file"], source.rejected["reason"], strict=True))
    return source.entries["file"].tolist(), rejected


def test_the_download_gives_the_train_folder_and_a_note_on_the_test_folder(tmp_path):
    write(
        tmp_path, *(f"stage_2_train/ID_{k}.dcm" for k in "ab"), *(f"stage_2_test/ID_{k}.dcm" for k in "tuv")
    )
    write_table(tmp_path)
    source = opened(tmp_path)
    assert of(source) == (["ID_a.dcm", "ID_b.dcm"], {})
    assert source.entries["epidural"].tolist() == [1, 0]
    assert source.notes == ("stage_2_test: 3 files without labels, not used.",)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("stage_2_train_images", "stage_2_test_images"),
        ("stage_1_train_images", "stage_1_test_images"),
        ("heads/training", "heads/testing"),
    ],
)
def test_folders_of_other_names_are_found_as_well(tmp_path, train, test):
    write(tmp_path, f"{train}/ID_a.dcm", f"{train}/ID_b.dcm", *(f"{test}/deep/ID_{k}.dcm" for k in "tu"))
    write_table(tmp_path)
    source = opened(tmp_path)
    files, rejected = of(source)
    assert [file.rpartition("/")[2] for file in files] == ["ID_a.dcm", "ID_b.dcm"]
    assert not rejected
    assert source.notes == (f"{test}: 2 files without labels, not used.",)


def test_labels_for_files_of_both_stage_1_folders_use_both(tmp_path):
    write(tmp_path, "stage_1_train_images/ID_a.dcm", "stage_1_test_images/ID_b.dcm")
    write_table(tmp_path)
    assert len(opened(tmp_path).entries) == 2


def test_an_empty_folder_of_the_tables_name_does_not_hide_the_files(tmp_path):
    (tmp_path / "stage_2_train").mkdir()
    write(tmp_path, "images/ID_a.dcm", "images/ID_b.dcm")
    write_table(tmp_path)
    assert of(opened(tmp_path))[0] == ["images/ID_a.dcm", "images/ID_b.dcm"]


def test_a_submission_under_another_name_is_no_labels_file(tmp_path):
    write(tmp_path, "ID_a.dcm", "ID_b.dcm")
    write_table(tmp_path)
    (tmp_path / "stage_2_sample_submission.csv").rename(tmp_path / "test.CSV")
    assert len(opened(tmp_path).entries) == 2


def test_a_file_without_labels_beside_labeled_ones_is_still_rejected(tmp_path):
    write(tmp_path, "s/ID_a.dcm", "s/ID_b.dcm", "s/ID_new.dcm", "t/ID_t.dcm", "u/ID_u.dcm", "u/ID_v.dcm")
    write_table(tmp_path)
    source = opened(tmp_path)
    assert list(of(source)[1]) == ["s/ID_new.dcm"]
    assert source.notes[0] == "3 files without labels in 2 folders, not used: t (1), u (2)."


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_png_and_jpg_copies_are_rsna_too_and_a_store_comes_of_them(tmp_path, suffix):
    six = {f"ID_{k}": (0, 0, 0, 0, k % 2, k % 2) for k in range(6)}
    write(tmp_path / "rsna", *(f"png/{name}{suffix}" for name in six))
    write_table(tmp_path / "rsna", labels=six)
    source = opened(tmp_path / "rsna")
    assert source.format == "rsna"
    options = PrepareOptions(size=8, folds=2, workers=1, test_fraction=0)
    store = prepare(tmp_path / "rsna", tmp_path / "store", options).store
    assert store.table["subdural"].tolist() == [0, 1, 0, 1, 0, 1]
    assert store.info.window == [40, 80]


def test_a_labeled_png_that_is_lost_is_named_with_its_suffix(tmp_path):
    write(tmp_path, "ID_a.png")
    write_table(tmp_path)
    assert list(of(opened(tmp_path))[1]) == ["ID_b.png"]


def test_a_lost_label_beside_files_named_by_uids_is_that_of_a_dcm_file(tmp_path):
    write(tmp_path, "1.2.840.113619.2.5")
    write_table(tmp_path, labels={"1.2.840.113619.2.5": (0,) * 6, "1.2.840.113619.2.6": (0,) * 6})
    assert list(of(opened(tmp_path))[1]) == ["1.2.840.113619.2.6.dcm"]


def test_previews_beside_the_dicom_files_are_neither_slices_nor_rejected(tmp_path):
    write(tmp_path, "ID_a.dcm", "ID_b\n.dcm", "previews/ID_a.png", "previews/ID_b.png", "overview.png")
    write_table(tmp_path)
    source = opened(tmp_path)
    assert of(source) == (["ID_a.dcm", "ID_b\n.dcm"], {})
    assert "3 other files, not used: overview.png, previews/ID_a.png, previews/ID_b.png." in source.notes


@pytest.mark.parametrize(
    "names", [("ID_a\n.dcm", "ID_b.dcm\n"), ("ID_a", "ID_b"), ("ID_a.png\n", "ID_b.png")]
)
def test_newlines_and_missing_suffixes_in_names_do_not_matter(tmp_path, names):
    write(tmp_path, "x.txt")
    for name in names:
        if "png" in name:
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name, format="png")
        else:
            write(tmp_path, name)
    write_table(tmp_path)
    assert of(opened(tmp_path)) == (list(names), {})


OTHERS = ("AUTORUN.INF", "DICOMDIR", "README", "Thumbs.db", "desktop.ini", "info.pdf", "notes.txt")


@pytest.mark.parametrize("kind", ["rsna", "images"])
def test_what_else_lies_on_a_cd_is_one_note_and_no_rejection(tmp_path, kind):
    write(tmp_path, "ID_a.dcm", "ID_b.dcm", *OTHERS)
    if kind == "rsna":
        write_table(tmp_path)
    else:
        (tmp_path / "labels.csv").write_text("id,any\nID_a,1\nID_b,0\n")
    source = opened(tmp_path)
    assert source.format == kind
    assert of(source) == (["ID_a.dcm", "ID_b.dcm"], {})
    assert "7 other files, not used: AUTORUN.INF, DICOMDIR, README and 4 more." in source.notes


def test_files_of_a_test_folder_do_not_count_as_rejected(tmp_path):
    six = {f"ID_{k}": (0,) * 6 for k in range(4)}
    for number, name in enumerate(six):
        write(tmp_path / "rsna", f"train/{name}.dcm")
        write_dicom(tmp_path / "rsna" / "train" / f"{name}.dcm", head((8, 8), number), PatientID=f"P{number}")
    write(tmp_path / "rsna", *(f"test/ID_t{k}.dcm" for k in range(50)))
    write_table(tmp_path / "rsna", labels=six)
    options = PrepareOptions(size=8, folds=2, workers=1, test_fraction=0, max_rejected=0)
    made = prepare(tmp_path / "rsna", tmp_path / "store", options)
    assert (len(made.store), len(made.rejected)) == (4, 0)
    assert "test: 50 files without labels, not used." in made.notes


def test_a_folder_without_labels_is_a_note_for_images_with_a_table_as_well(tmp_path):
    write(tmp_path, "train/a.png", "train/b.png", "train/c.png", "test/x.png", "test/y.png")
    (tmp_path / "labels.csv").write_text("file,any\na.png,1\nb.png,0\n")
    source = opened(tmp_path)
    assert list(of(source)[1]) == ["train/c.png"]
    assert "test: 2 files without labels, not used." in source.notes


@pytest.mark.parametrize("before", ["", "CT."])
@pytest.mark.parametrize("kind", ["rsna", "images"])
def test_files_named_by_uids_without_a_suffix_are_found(tmp_path, before, kind):
    names = [f"{before}1.2.840.113619.2.{number}" for number in (5, 6)]
    write(tmp_path, *(f"heads/{name}" for name in names))
    if kind == "rsna":
        long_table(dict(zip(names, SIX.values(), strict=True))).to_csv(tmp_path / "labels.csv", index=False)
    else:
        rows = "".join(f"{name},{label}\n" for name, label in zip(names, (1, 0), strict=True))
        (tmp_path / "labels.csv").write_text("SOPInstanceUID,any\n" + rows)
    source = opened(tmp_path)
    assert of(source) == ([f"heads/{name}" for name in names], {})
    assert source.entries["slice_id"].tolist() == names
    assert source.entries["any"].tolist() == [1, 0]


HEADER = "PatientID,StudyInstanceUID,SeriesInstanceUID"
POSITIONS = {
    "ImagePositionPatient": ("\"['-125', '-124', '122.9']\"", '"[-125.0, -124.0, -7.5]"'),
    "imagepositionpatient": (r"-125\-124\122.9", r"-125\-124\-7.5"),
    "ImagePositionPatient_0,ImagePositionPatient_1,ImagePositionPatient_2": ("-125,-124,122.9", "1,2,-7.5"),
    "ImagePositionPatient_1,ImagePositionPatient_2,ImagePositionPatient_3": ("-125,-124,122.9", "1,2,-7.5"),
    "ImagePositionPatient,ImagePositionPatient1,ImagePositionPatient2": ("-125,-124,122.9", "1,2,-7.5"),
    "ImagePositionPatient_2": ("122.9", "-7.5"),
}


@pytest.mark.parametrize("columns", list(POSITIONS))
def test_a_wide_table_with_columns_of_the_headers_gives_patients_and_z(tmp_path, columns):
    write(tmp_path, "ID_a.png", "ID_b.png")
    rows = [f"ID_{k},p{k},s{k},r{k},{z}" for k, z in zip("ab", POSITIONS[columns], strict=True)]
    labels = [",1,0,0,0,0,1", ",0,0,0,0,0,0"]
    lines = [f"Image,{HEADER},{columns},{','.join(LABELS)}", *map(str.__add__, rows, labels)]
    (tmp_path / "wide.csv").write_text("\n".join(lines))
    source = opened(tmp_path)
    assert source.entries[["patient_id", "study_id", "series_id", "z_mm"]].to_numpy().tolist() == [
        ["pa", "sa", "ra", 122.9],
        ["pb", "sb", "rb", -7.5],
    ]
    assert source.entries[list(LABELS)].to_numpy().tolist() == list(map(list, SIX.values()))
    assert not [note for note in source.notes if "not understood" in note]


def test_a_position_that_is_no_three_numbers_is_told_and_left_to_the_header(tmp_path):
    write(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "wide.csv").write_text("file,any,ImagePositionPatient\na,0,1 2 3\nb,0,1 2\nc,0,\n")
    source = opened(tmp_path)
    np.testing.assert_array_equal(source.entries["z_mm"], [3, np.nan, np.nan])
    assert (
        "In 1 row z can't be read from imagepositionpatient (line 3: '1 2'); it is left to the file's header."
        in source.notes
    )


def test_numbered_parts_of_a_position_are_told(tmp_path):
    write(tmp_path, "a.png")
    (tmp_path / "wide.csv").write_text("file,any,ImagePositionPatient_2\na,0,1.5\n")
    assert "z in mm was read from the column imagepositionpatient2." in opened(tmp_path).notes
