import time
import unicodedata

import pytest

from ichtune.data.matching import Matches, match, tidy
from ichtune.data.name_fits import Step


def matched(names: list[str], files: list[str], *, copies: bool = False, uids: dict | None = None) -> Matches:
    return match(
        [tidy(name) for name in names], files, same_bytes=lambda _: copies, uids=lambda _: dict(uids or {})
    )


@pytest.mark.parametrize(
    ("name", "file", "step"),
    [
        ("x/im3.png", "x/im3.png", Step.EXACT),
        (".\\x\\im3.png", "x/im3.png", Step.EXACT),
        ("x/im3", "x/im3.png", Step.SUFFIX),
        ("im3.png", "x/y/im3.png", Step.FOLDER),
        ("y/im3", "x/y/im3.png", Step.FOLDER),
        ("/home/jane/set/x/im3.png", "x/im3.png", Step.PREFIX),
        ("D:\\set\\x\\im3.png", "x/im3.png", Step.PREFIX),
        ("train/im3.png", "im3.png", Step.PREFIX),
        ("/kaggle/input/x/im3.png", "data/im3.png", Step.PREFIX),
        ("IM3.PNG", "x/im3.png", Step.CASE),
        (unicodedata.normalize("NFD", "hänsel"), unicodedata.normalize("NFC", "hänsel.png"), Step.UNICODE),
        ("ID_1", "x/ID_1\n.dcm", Step.BLANKS),
        ("0", "000.png", Step.NUMBER),
        ("0.0", "x/00.png", Step.NUMBER),
        ("007", "7.0.png", Step.NUMBER),
        ("49/3", "Patients_CT/049/03.jpg", Step.NUMBER),
        ("1.2.840.5", "CT000001.dcm", Step.UID),
    ],
)
def test_a_name_finds_its_one_file_by_the_strictest_step_that_fits(name, file, step):
    found = matched([name], ["other/unrelated.png", file], uids={"CT000001.dcm": "1.2.840.5"})
    assert list(found.files.values()) == [file]
    assert list(found.steps.values()) == [step]


def test_the_file_that_the_table_names_wins_over_its_copies_and_masks():
    files = ["im3.png", "masks/im3.png", "old/im3.png"]
    assert matched(["im3.png"], files).files == {"im3.png": "im3.png"}
    assert matched(["old/im3.png"], files).files == {"old/im3.png": "old/im3.png"}
    assert matched(["im3"], files).files == {"im3": "im3.png"}


@pytest.mark.parametrize("name", ["im3.png", "im3", "IM3", "/data/im3.png"])
def test_a_name_that_fits_two_files_is_never_guessed(name):
    found = matched([name], ["images/im3.png", "masks/im3.png"])
    assert not found.files
    assert set(found.unclear) == {"images/im3.png", "masks/im3.png"}
    for why in found.unclear.values():
        assert "'images/im3.png', 'masks/im3.png'" in why


@pytest.mark.parametrize(("names", "file"), [(["0", "00"], "000.png"), (["A", "a"], "\u0041 .png")])
def test_a_file_that_two_names_fit_goes_to_neither(names, file):
    found = matched(names, [file])
    assert not found.files
    assert found.undecided == set(names)
    assert all(repr(name) in found.unclear[file] for name in names)


def test_an_exact_name_keeps_its_file_from_a_looser_one():
    found = matched(["7.png", "007"], ["7.png"])
    assert found.files == {"7.png": "7.png"}
    assert found.unclear == {"007": "it fits the file '7.png', which has the labels of '7.png'"}


def test_a_lost_file_is_not_replaced_by_one_of_the_same_name_above_it():
    found = matched(["old/im1.png", "old/im5.png"], ["im1.png", "im5.png", "old/im1.png"])
    assert found.files == {"old/im1.png": "old/im1.png"}


def test_a_prefix_that_could_end_at_two_folders_is_not_guessed():
    # Either the folder is /d/old and holds a copy of itself, or it is /d and old/im2.png is lost.
    found = matched(["/d/old/im1.png", "/d/old/im2.png"], ["im1.png", "im2.png", "old/im1.png"])
    assert not found.files
    assert found.undecided == {"/d/old/im1.png", "/d/old/im2.png"}


def test_copies_byte_for_byte_are_one_slice():
    found = matched(["ID_1"], ["stage_1/ID_1.dcm", "stage_2/ID_1.dcm"], copies=True)
    assert found.files == {"ID_1": "stage_1/ID_1.dcm"}
    assert found.copies == {"stage_2/ID_1.dcm"}
    assert "Exact copies of another file of the same name: 1 " in found.note("labels.csv")[-1]


def test_headers_are_asked_only_of_files_that_no_name_fits():
    asked: list[list[str]] = []
    match(
        ["a", "1.2.3"], ["a.dcm", "b.dcm"], same_bytes=lambda _: False, uids=lambda f: asked.append(f) or {}
    )
    match(["a"], ["a.dcm", "b.dcm"], same_bytes=lambda _: False, uids=lambda f: asked.append(f) or {})
    assert asked == [["b.dcm"]]


def test_the_note_counts_each_step_with_an_example():
    found = matched(["0", "100"], ["head_ct/000.png", "head_ct/100.png"])
    assert found.note("labels.csv") == [
        "In labels.csv, files were found for 1 name in a folder that the table doesn't name "
        "(100 is head_ct/100.png), 1 name as numbers (0 is head_ct/000.png)."
    ]
    assert matched(["a.png"], ["a.png"]).note("labels.csv") == []


def test_many_files_with_one_base_name_do_not_take_quadratic_time():
    count = 20_000
    start = time.process_time()
    names = [f"/data/set/p{number // 40}/{number % 40}" for number in range(count)]
    found = matched(names, [f"scans/p{number // 40}/{number % 40:03d}.png" for number in range(count)])
    assert len(found.files) == count
    assert time.process_time() - start < 10  # under one second where nothing else runs
