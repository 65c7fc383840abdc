"""What there is to predict is known before it is read, scan by scan, in little memory."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ichtune.data.sources.folder import files_below
from ichtune.data.workers import Workers
from ichtune.prediction.find import find_slices
from ichtune.prediction.listing import Names, in_chunks
from ichtune.prediction.options import PredictOptions
from ichtune.prediction.predict import predict
from tests.made_up.dicom import head, write_dicom, write_rsna
from tests.made_up.nifti import head_volume, write_volume


def test_a_hundred_thousand_names_take_less_than_four_megabytes():
    names = Names(f"stage_2_train/ID_{number:09x}.dcm" for number in range(100_000))
    # 30 characters and the 8 bytes of an offset; as Python's objects they take 8.7 MB.
    assert names.array.nbytes == 100_000 * 38
    assert names[77] == "stage_2_train/ID_00000004d.dcm"
    assert list(names[1:3]) == ["stage_2_train/ID_000000001.dcm", "stage_2_train/ID_000000002.dcm"]


@pytest.mark.parametrize("scan", [1, 7, 31, 32, 40, 500])
def test_scans_are_never_parted_and_chunks_hold_at_least_a_batch(scan):
    follows = np.arange(1, 1000) % scan != 0
    chunks = in_chunks(follows)
    assert np.concatenate(chunks).tolist() == list(range(1000))
    assert all(chunk.start % scan == 0 for chunk in chunks)
    assert all(len(chunk) >= 32 for chunk in chunks[:-1])
    assert max(map(len, chunks)) < 32 + scan


def test_links_in_circles_and_pipes_neither_end_nor_hold_up_the_search_for_files(tmp_path):
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "1.dcm").touch()
    (tmp_path / "scan" / "up").symlink_to(tmp_path)
    (tmp_path / "other").symlink_to(tmp_path / "scan")
    (tmp_path / "itself.dcm").symlink_to("itself.dcm")
    (tmp_path / "nowhere.dcm").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe.dcm")
    assert sorted(files_below(tmp_path)) == ["itself.dcm", "nowhere.dcm", "other/1.dcm", "scan/1.dcm"]


def test_slices_of_scans_that_lie_mixed_in_folders_come_together_in_order(tmp_path):
    for number in range(6):
        folder = tmp_path / f"folder{number % 3}"
        folder.mkdir(exist_ok=True)
        patient = number % 2
        write_dicom(
            folder / f"{number}.dcm",
            head((8, 8), number),
            PatientID=f"P{patient}",
            StudyInstanceUID=f"1.2.{patient}",
            SeriesInstanceUID=f"1.2.{patient}.1",
            ImagePositionPatient=[0, 0, -5 * number],
        )
    listing = find_slices(tmp_path, "auto", Workers(1))
    assert [place.file for place in listing.places] == [
        *("folder1/4.dcm", "folder2/2.dcm", "folder0/0.dcm"),
        *("folder2/5.dcm", "folder0/3.dcm", "folder1/1.dcm"),
    ]
    assert listing.scan.tolist() == [listing.scan[0]] * 3 + [listing.scan[3]] * 3


def test_slices_without_a_position_come_by_their_number_and_that_is_said(tmp_path):
    for number in (1, 2, 10):
        write_dicom(
            tmp_path / f"IM{number}.dcm", head((8, 8), 0), InstanceNumber=number, ImagePositionPatient=None
        )
    listing = find_slices(tmp_path, "auto", Workers(1))
    assert [place.file for place in listing.places] == ["IM1.dcm", "IM2.dcm", "IM10.dcm"]
    assert listing.notes == (
        "3 slices have no position and come last in the scan, by InstanceNumber or else by name; "
        "models that read scans see each alone.",
    )


def test_copies_and_other_scans_under_one_series_are_said(tmp_path):
    for number in range(3):
        for copy in "ab":
            file = tmp_path / f"{copy}{number}.dcm"
            write_dicom(file, head((8, 8), 0), ImagePositionPatient=[0, 0, number])
    (note,) = find_slices(tmp_path, "auto", Workers(1)).notes
    assert note.startswith("3 slices are at the same height as another of the same scan")


def test_a_folder_may_hold_every_kind_of_file(tmp_path):
    write_dicom(tmp_path / "a.dcm", head((8, 8), 0))
    write_volume(tmp_path / "b.nii.gz", head_volume(2))
    (tmp_path / "c.png").write_bytes(b"")
    (tmp_path / "readme.txt").write_text("about")
    listing = find_slices(tmp_path, "auto", Workers(1))
    assert [tuple(place) for place in listing.places] == [
        *(("a.dcm", -1), ("c.png", -1), ("b.nii.gz", 0), ("b.nii.gz", 1)),
    ]
    assert listing.scan.tolist() == [0, -1, 1, 1]
    assert "1 other file, not used: readme.txt." in listing.notes


def test_a_single_file_is_enough_whatever_its_name(model, tmp_path):
    write_dicom(tmp_path / "slice.anything", head((32, 32), 0))
    made = predict([model], tmp_path / "slice.anything", tmp_path / "p.csv", PredictOptions(workers=1))
    assert (made.slices, made.unread) == (1, 0)


def test_names_that_are_no_text_or_hold_a_newline_are_rows(model, tmp_path):
    root = write_rsna(tmp_path / "rsna", patients=1, size=16)
    (one, two, _three) = sorted((root / "stage_2_train").iterdir())
    try:
        one.rename(os.fsdecode(os.fsencode(root / "stage_2_train") + b"/ID_\xff.dcm"))
    except OSError:
        pytest.skip("this file system has names of text alone")
    two.rename(two.with_name("ID_two.dcm\n"))
    made = predict([model], root, tmp_path / "p.parquet", PredictOptions(workers=1))
    assert (made.slices, made.unread) == (3, 0)
    assert set(pd.read_parquet(made.file)["file"].str.rpartition("/")[2]) == {
        *("ID_\\udcff.dcm", "ID_two.dcm\n", "ID_000000002.dcm"),
    }


def test_files_that_change_make_another_input(tmp_path):
    root = write_rsna(tmp_path / "rsna", patients=1, size=16)
    before = find_slices(root, "auto", Workers(1)).digest
    assert find_slices(Path(shutil.copytree(root, tmp_path / "copy")), "auto", Workers(1)).digest == before
    file = root / "stage_2_train" / "ID_000000000.dcm"
    file.write_bytes(file.read_bytes() + b"\0")
    assert find_slices(root, "auto", Workers(1)).digest != before
