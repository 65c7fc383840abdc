import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.uid import JPEGLosslessSV1
from rich.console import Console

from ichtune.data.formats.dicom import read_dicom
from ichtune.data.inspect.describe import print_scans
from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import Prepared, prepare
from ichtune.data.slice_table import SCAN_LABELS
from ichtune.data.sources import Source, open_source
from ichtune.errors import InputError
from ichtune.labels import LABELS
from tests.made_up.cq500 import CORONAL, THICK, THIN, write_boxes, write_reads, write_scan
from tests.made_up.dicom import head

NAN = math.nan


def opened(root: Path, **options: object) -> Source:
    return open_source(root, None, PrepareOptions(**options))


def of_scan(source: Source, number: int) -> list[float]:
    """The six labels of a scan, which each of its slices has."""
    rows = source.entries[source.entries["patient_id"] == f"CQ500-CT-{number}"]
    (labels,) = rows[list(SCAN_LABELS.values())].drop_duplicates().to_numpy().tolist()
    return labels


def folders(source: Source) -> list[str]:
    return sorted({file.rpartition("/")[0] for file in source.entries["file"]})


def note(source: Source | Prepared, words: str) -> str:
    (found,) = [note for note in source.notes if words in note]
    return found


# Per reader: ICH IPH IVH SDH EDH SAH.
def three_scans(root: Path, **series: object) -> Path:
    """Scans that three readers, two and one of three call positive; and the second one subdural by one alone."""
    write_reads(
        root,
        {
            1: ("110000", "110000", "110000"),
            2: ("100000", "100100", "000000"),
            3: ("100001", "000000", "000000"),
        },
    )
    for number in (1, 2, 3):
        write_scan(root, number, series or {"CT Plain": THICK})
    return root


@pytest.mark.parametrize(
    ("readers", "expected"),
    [  # EDH IPH IVH SAH SDH any
        ("majority", [[0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]]),
        ("any", [[0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 0, 1]]),
        ("all", [[0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]),
    ],
)
def test_so_many_readers_as_asked_for_decide_of_a_scan(tmp_path, readers, expected):
    source = opened(three_scans(tmp_path), readers=readers)
    assert source.format == "cq500"
    assert [of_scan(source, number) for number in (1, 2, 3)] == expected


def test_slices_are_negative_where_the_scan_is_and_else_unknown(tmp_path):
    source = opened(three_scans(tmp_path))
    labels = source.entries.groupby("patient_id")[list(LABELS)].first(min_count=1)
    rows = source.entries[source.entries["patient_id"] == "CQ500-CT-1"][list(LABELS)].to_numpy()
    np.testing.assert_array_equal(rows, [[0, NAN, 0, 0, 0, NAN]] * 3)
    assert labels.loc["CQ500-CT-3"].tolist() == [0] * 6
    assert "A search needs that: give BHX's boxes" in note(source, "The labels are those of scans")


def test_a_label_that_missing_reads_could_turn_is_unknown_and_that_is_said(tmp_path):
    # EDH: no, no, missing. SAH: yes, no, missing. SDH: yes, yes, missing.
    write_reads(tmp_path, {1: ("100101", "100100", "100   "), 2: ("000000",) * 3})
    for number in (1, 2):
        write_scan(tmp_path, number, {"CT Plain": THICK})
    source = opened(tmp_path)
    np.testing.assert_array_equal(of_scan(source, 1), [0, 0, 0, NAN, 1, 1])
    assert note(source, "lack reads").startswith(
        "Scans that lack reads: 1; scans with labels that are unknown"
    )
    assert note(source, "lack reads").endswith(": 1.")


def test_a_subtype_without_any_makes_the_scan_positive_with_a_note(tmp_path):
    write_reads(tmp_path, {1: ("010000", "010000", "000000")})
    write_scan(tmp_path, 1, {"CT Plain": THICK})
    source = opened(tmp_path)
    assert of_scan(source, 1) == [0, 1, 0, 0, 0, 1]
    assert note(source, "but no hemorrhage") == (
        "Scans with a subtype by --readers majority but no hemorrhage, which count as positive: 1, such as CQ500-CT-1."
    )


ALL_SERIES = {
    "CT Scout": {**THICK, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    "CT Coronal": {**THICK, "ImageOrientationPatient": CORONAL},
    "CT Plain": THICK,
    "CT Plain 25": {**THICK, "SliceThickness": 2.5},
    "CT BONE": {**THICK, "ConvolutionKernel": "BONE"},
    "CT POST CONTRAST": THICK,
    "CT 10mm": {**THICK, "SliceThickness": 10},
}


@pytest.mark.parametrize(
    ("wish", "chosen"),
    [
        ("auto", ["CT Plain"]),
        ("thin", ["CT PLAIN THIN"]),
        ("thick", ["CT 10mm"]),
        ("post", ["CT POST CONTRAST"]),
        ("thin|bone", ["CT PLAIN THIN"]),
        ("all", sorted({*ALL_SERIES, "CT PLAIN THIN"} - {"CT Scout", "CT Coronal"})),
    ],
)
def test_the_series_that_is_wished_for_is_chosen(tmp_path, wish, chosen):
    write_reads(tmp_path, {7: ("000000",) * 3})
    write_scan(tmp_path, 7, ALL_SERIES, slices=40)
    write_scan(tmp_path, 7, {"CT PLAIN THIN": THIN}, slices=130)
    source = opened(tmp_path, series=wish)
    assert [folder.rpartition("/")[2] for folder in folders(source)] == chosen
    assert source.rejected.empty
    assert f" in {len(ALL_SERIES) + 1 - len(chosen)} series. series.csv" in note(source, "are not used")


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({**THICK, "ContrastBolusAgent": "OMNIPAQUE"}, THIN),
        ({**THICK, "ConvolutionKernel": "H60s"}, {**THIN, "ConvolutionKernel": "H31s"}),
        ({**THICK, "ConvolutionKernel": "FC30"}, {**THIN, "ConvolutionKernel": "FC21"}),
        ({**THICK, "SliceThickness": 1.25}, THIN),
        ({**THIN, "SliceThickness": 0.01}, THIN),
    ],
    ids=[
        "contrast",
        "Siemens' bone kernel",
        "Toshiba's bone kernel",
        "neither thick nor thinnest",
        "a fragment",
    ],
)
def test_of_two_series_the_better_is_chosen(tmp_path, worse, better):
    write_reads(tmp_path, {7: ("000000",) * 3})
    write_scan(tmp_path, 7, {"a": worse, "b": better}, slices=130)
    assert folders(opened(tmp_path)) == ["CQ500CT7 CQ500CT7/Unknown Study/b"]


def test_a_scan_with_nothing_but_contrast_has_it_chosen_and_that_is_said(tmp_path):
    write_reads(tmp_path, {7: ("000000",) * 3})
    write_scan(tmp_path, 7, {"CT 4cc sec 150cc D3D on": THIN})
    assert note(opened(tmp_path), "for want of a better one") == (
        "Chosen series with contrast, for want of a better one: 1 (CQ500CT7 CQ500CT7/Unknown Study/"
        "CT 4cc sec 150cc D3D on)."
    )


def test_scans_are_found_without_suffixes_and_one_folder_deeper(tmp_path):
    write_reads(tmp_path, {1: ("000000",) * 3, 427: ("000000",) * 3})
    write_scan(tmp_path, 427, {"CT Plain": THICK}, below="CQ500-CT-427/CQ500CT427 CQ500CT427", suffix="")
    write_scan(tmp_path, 1, {"CT Plain": THICK}, below="qct01/CQ500CT1 CQ500CT1/Unknown Study")
    source = opened(tmp_path)
    assert source.entries["patient_id"].tolist() == ["CQ500-CT-427"] * 3 + ["CQ500-CT-1"] * 3
    assert source.entries["slice_id"].iloc[0] == "CQ500-CT-427/CQ500CT427 CQ500CT427/CT Plain/CT000000"


def test_scans_that_only_the_table_or_the_folder_has_are_counted(tmp_path):
    three_scans(tmp_path)
    write_reads(tmp_path, {1: ("000000",) * 3, 2: ("000000",) * 3, 8: ("000000",) * 3})
    write_scan(tmp_path, 2, {"CT Plain": {**THICK, "Modality": "MR"}})
    source = opened(tmp_path)
    assert set(source.entries["patient_id"]) == {"CQ500-CT-1"}
    assert note(source, "without a folder") == "Scans in the table without a folder here: 1 (CQ500-CT-8)."
    assert note(source, "without a row").endswith(", which are not used: 1 (CQ500CT3).")
    assert note(source, "without a series") == (
        "Scans without a series to use, which are left out: 1 (CQ500-CT-2)."
    )


def test_a_series_in_the_folder_of_another_scan_is_not_used(tmp_path):
    three_scans(tmp_path)
    about = {**THICK, "PatientID": "CQ500CT1"}
    write_scan(tmp_path, 2, {"CT Plain": about, "CT PLAIN THIN": {**THIN, "PatientID": "CQ500-CT-2"}})
    source = opened(tmp_path)
    assert "CQ500CT2 CQ500CT2/Unknown Study/CT PLAIN THIN" in folders(source)
    assert (
        source.series["fault"].str.contains("its PatientID is 'CQ500CT1', which is another scan").sum() == 1
    )


def test_files_that_belong_to_no_scan_are_named(tmp_path):
    three_scans(tmp_path)
    write_scan(tmp_path, 4, {"CT Plain": THICK}, below="unknown")
    (tmp_path / "CQ500CT5.zip").touch()
    source = opened(tmp_path)
    assert "Folders with files that name no scan, which are not used: 1 (unknown/CT Plain)." in source.notes
    assert "1 other file, not used: CQ500CT5.zip." in source.notes


@pytest.mark.parametrize(
    ("reads", "message"),
    [
        ({1: ("200000", "000000", "000000")}, "line 2: R1:ICH must be 0 or 1, or empty, got '2'"),
        ({1: ("000000",) * 3, "B9": ("000000",) * 3}, "line 3: name must be like CQ500-CT-427, got 'B9'"),
        ({1: ("000000",) * 3, "cq500ct1": ("100000",) * 3}, "line 3: cq500ct1 has another row"),
    ],
)
def test_a_table_of_reads_that_cannot_be_used_says_where(tmp_path, reads, message):
    write_scan(tmp_path, 1, {"CT Plain": THICK})
    write_reads(tmp_path, reads)
    with pytest.raises(InputError, match=message):
        opened(tmp_path)


def test_no_scan_no_such_series_and_no_regular_expression_are_errors(tmp_path):
    write_reads(tmp_path, {1: ("000000",) * 3})
    with pytest.raises(InputError, match="no DICOM files in folders named like 'CQ500CT1 CQ500CT1'"):
        opened(tmp_path)
    write_scan(tmp_path, 1, {"CT Plain": THICK})
    with pytest.raises(InputError, match=r"no scan of .* has a series to use \(--series bone\)"):
        opened(tmp_path, series="bone")
    with pytest.raises(InputError, match=r"--series '\(': must be auto, all, thin, thick or a regular"):
        opened(tmp_path, series="(")


def boxed(root: Path) -> Path:
    """Scan 1 has a subarachnoid box on slice 0, a chronic one on slice 1, and an epidural one that no reader saw on 2.

    The negative scan 3 has a box on slice 1. A box's file is missing, and one is on a series that is not chosen.
    """
    write_reads(root, {1: ("100001",) * 3, 3: ("000000",) * 3})
    for number in (1, 3):
        write_scan(root, number, {"CT Plain": THICK, "CT PLAIN THIN": THIN})
    write_boxes(
        root / "1_Initial_Manual_Labeling.csv",
        [
            ("1.1.1.0", "1.1.1", "Subarachnoid"),
            ("1.1.1.0", "1.1.1", "Subarachnoid"),
            ("1.1.1.1", "1.1.1", "Chronic"),
            ("1.1.1.2", "1.1.1", "Epidural"),
            ("1.3.1.1", "1.3.1", "Subdural"),
            ("1.1.1.99", "1.1.1", "Subarachnoid"),
        ],
    )
    return root


def test_boxes_make_slices_positive_and_their_series_is_preferred(tmp_path):
    source = opened(boxed(tmp_path))  # 1.1.1 and 1.3.1 are the thin series
    assert folders(source) == [f"CQ500CT{n} CQ500CT{n}/Unknown Study/CT PLAIN THIN" for n in (1, 3)]
    expected = [  # EDH IPH IVH SAH SDH any
        [0, 0, 0, 1, 0, 1],
        [0, 0, 0, NAN, 0, 1],
        [NAN, 0, 0, NAN, 0, 1],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, NAN, NAN],
        [0, 0, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(source.entries[list(LABELS)], expected)


def test_boxes_of_no_slice_label_none(tmp_path):
    three_scans(tmp_path)
    write_boxes(
        tmp_path / "1_Initial_Manual_Labeling.csv", [("", "", "Subdural"), ("1.1.1.0", "1.1.1", "IPH")]
    )
    source = opened(tmp_path)
    assert source.entries["any"].isin([1]).tolist() == [True] + [False] * 8
    assert "Boxes without a SOPInstanceUID are not used: 1." in source.notes


def test_what_the_boxes_do_and_do_not_is_said(tmp_path):
    source = opened(boxed(tmp_path))
    assert "Boxes named Chronic (1) make a slice positive for 'any' alone." in source.notes
    assert note(source, "the readers didn't see").endswith("slices: 2 (CQ500-CT-1, CQ500-CT-3).")
    assert note(source, "without a file") == "Slices with boxes without a file here: 1 (1.1.1.99)."
    chosen = opened(tmp_path, series="Plain$")
    assert note(chosen, "not chosen") == "Slices with boxes in series that were not chosen: 5."


def compress(path: Path) -> None:
    """Make a file JPEG Lossless SV1, as CQ500's are."""
    gdcm = pytest.importorskip("gdcm", reason="needs gdcm, of the extra dicom")
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()


TILTED = {**THICK, "ImageOrientationPatient": [1, 0, 0, 0, 0.98902, -0.14781], "RescaleType": "HU"}


def test_jpeg_lossless_slices_of_a_tilted_gantry_keep_their_hu(tmp_path):
    write_reads(tmp_path, {1: ("000000",) * 3})
    write_scan(tmp_path, 1, {"CT Plain": TILTED})
    (folder,) = folders(opened(tmp_path))
    for path in (tmp_path / folder).iterdir():
        compress(path)
    source = opened(tmp_path)
    for z, file in enumerate(source.entries["file"]):
        ds = pydicom.dcmread(tmp_path / file)
        assert ds.file_meta.TransferSyntaxUID == JPEGLosslessSV1
        np.testing.assert_array_equal(read_dicom(tmp_path / file).hu, head((8, 8), 100 + z))


def test_a_codec_that_is_missing_ends_it_before_anything_is_read(tmp_path, monkeypatch):
    write_reads(tmp_path, {1: ("000000",) * 3})
    write_scan(tmp_path, 1, {"CT Plain": THICK})
    missing = "ichtune.data.formats.series_header.missing_codec"
    monkeypatch.setattr(missing, lambda ds: "its codec (JPEG Lossless) is not installed")
    with pytest.raises(InputError, match=r"CT Plain: its codec \(JPEG Lossless\) is not installed \(1 of 1"):
        opened(tmp_path)


def test_boxes_may_be_given_and_files_that_are_none_are_refused(tmp_path):
    root = boxed(tmp_path / "set")
    given = (root / "1_Initial_Manual_Labeling.csv").rename(tmp_path / "mine.csv")
    assert np.nansum(opened(root).entries["any"]) == 0
    assert np.nansum(opened(root, boxes=[given]).entries["any"]) == 3
    with pytest.raises(InputError, match=r"lost.csv: no such file of boxes; --boxes takes BHX's CSVs"):
        opened(root, boxes=[tmp_path / "lost.csv"])
    with pytest.raises(InputError, match="lacks the columns sopinstanceuid"):
        opened(root, boxes=[root / "reads.csv"])


def test_a_store_of_scans_has_their_labels_and_lists_all_series(tmp_path):
    root = three_scans(tmp_path / "set", **{"CT Plain": THICK, "CT PLAIN THIN": THIN})
    options = PrepareOptions(size=32, folds=3, test_fraction=0, workers=1)
    made = prepare(root, tmp_path / "store", options)
    assert (len(made.store), made.store.info.patients, made.store.info.format) == (9, 3, "cq500")
    assert made.store.scans.table["any"].tolist() == [1, 1, 0]
    assert made.store.scans.table["spacing_mm"].tolist() == [5, 5, 5]
    series = pd.read_csv(tmp_path / "store" / "series.csv")
    assert series[["scan", "chosen", "description", "files", "thickness_mm"]].to_numpy().tolist()[:2] == [
        ["CQ500-CT-1", 0, "CT PLAIN THIN", 3, 0.625],
        ["CQ500-CT-1", 1, "CT Plain", 3, 5.0],
    ]


def test_inspect_shows_the_scans(tmp_path):
    options = PrepareOptions(size=32, folds=3, test_fraction=0, workers=1)
    store = prepare(three_scans(tmp_path / "set"), tmp_path / "store", options).store
    shown = io.StringIO()
    print_scans(store, Console(width=200, file=shown))
    assert shown.getvalue().splitlines() == [
        "3 scans: 3 slices each, spacing 5 mm, thickness 5 mm",
        "positive scans: epidural 0 of 3, intraparenchymal 1 of 3, intraventricular 0 of 3, subarachnoid 0 of 3, "
        "subdural 0 of 3, any 2 of 3",
    ]


def test_names_of_scans_are_in_no_table_of_series_if_hashed(tmp_path):
    options = PrepareOptions(size=32, folds=3, test_fraction=0, workers=1, hash_ids=True)
    made = prepare(three_scans(tmp_path / "set"), tmp_path / "store", options)
    assert not (made.store.path / "series.csv").exists()
    assert not made.store.table["patient_id"].str.contains("CQ500").any()


def test_boxes_for_a_source_that_is_no_cq500_are_refused(rsna_folder, tmp_path):
    with pytest.raises(InputError, match="boxes label the slices of CQ500, which is no source here"):
        prepare(rsna_folder(), tmp_path / "store", PrepareOptions(boxes=[tmp_path / "boxes.csv"]))


def test_a_store_keeps_which_readers_and_series_were_asked_for(tmp_path):
    options = PrepareOptions(size=32, all_test=True, workers=1, readers="any", series="thick")
    store = prepare(three_scans(tmp_path / "set"), tmp_path / "store", options).store
    assert store.info.reading == {"readers": "any", "series": "thick"}
