import numpy as np
import pytest

from ichtune.data.inspect.audit import audit
from ichtune.data.options import PrepareOptions, parse_folds
from ichtune.data.prepare import NotPrepared, prepare
from ichtune.errors import InputError
from tests.made_up.dicom import head, long_table, write_dicom
from tests.made_up.nifti import head_volume, write_volume

SMALL = PrepareOptions(size=16, folds=2, workers=1, test_fraction=0)


def options(**changes) -> PrepareOptions:
    return PrepareOptions(**{**vars(SMALL), **changes})


def write_hospital(root, seed: int, patients: int = 4, **tags):
    """Two slices of each of some patients, P0 and so on in every hospital."""
    root.mkdir()
    labels = {}
    for patient in range(patients):
        for k in range(2):
            labels[f"ID_{patient}{k}"] = (0, 0, 0, 0, patient % 2, patient % 2)
            about = {
                "StudyInstanceUID": f"{seed}.{patient}",
                "SeriesInstanceUID": f"{seed}.{patient}.1",
                **tags,
            }
            pixels = head((16, 16), 100 * seed + 10 * patient + k)
            write_dicom(root / f"ID_{patient}{k}.dcm", pixels, PatientID=f"P{patient}", **about)
    long_table(labels).to_csv(root / "labels.csv", index=False)
    return root


@pytest.fixture
def hospitals(tmp_path):
    return [write_hospital(tmp_path / name, seed) for seed, name in enumerate(("north", "south"), 1)]


def test_slices_of_two_sources_keep_their_names_and_patients_apart(hospitals, tmp_path):
    store = prepare(hospitals, tmp_path / "store", SMALL).store
    assert len(store) == 16
    assert store.info.patients == 8
    assert store.info.sources == ("north", "south")
    assert store.table["source"].tolist() == ["north"] * 8 + ["south"] * 8
    row = store.table["slice_id"].tolist().index("south/ID_21")
    np.testing.assert_array_equal(store.hu[row], head((16, 16), 221))
    assert store.table.loc[row, "patient_id"] == "south/P2"


def test_each_fold_holds_out_a_whole_source(hospitals, tmp_path):
    store = prepare(hospitals, tmp_path / "store", options(folds="by-source", test_fraction=0.25)).store
    train = store.table[store.table["split"] == "train"]
    assert train.groupby("fold")["source"].unique().map(list).to_dict() == {0: ["north"], 1: ["south"]}
    assert store.info.folds == 2
    assert store.info.folds_by_source
    assert (store.table["split"] == "test").any()


def test_a_study_in_two_sources_is_one_patient(tmp_path):
    same = {"StudyInstanceUID": "9.9"}
    roots = [write_hospital(tmp_path / name, seed, 2, **same) for seed, name in enumerate("ab", 1)]
    roots.append(write_hospital(tmp_path / "c", 3, 2))
    made = prepare(roots, tmp_path / "store", SMALL)
    assert sorted(made.store.table["patient_id"].unique()) == ["a/P0", "c/P0", "c/P1"]
    assert any("in more than one source" in note for note in made.notes)


def write_volumes(root, seed: int):
    """Volumes 000 and 001 with masks, under these names in every hospital."""
    for number in range(2):
        mask = np.zeros((3, 16, 16), np.uint8)
        mask[1, 4, 4] = number
        write_volume(root / f"images/{number:03d}.nii", head_volume(3, seed=10 * seed + number))
        write_volume(root / f"masks/{number:03d}.nii", mask)
    return root


def test_volumes_of_one_name_in_two_sources_are_different_studies(tmp_path):
    roots = [write_volumes(tmp_path / name, seed) for seed, name in enumerate(("north", "south"), 1)]
    store = prepare(roots, tmp_path / "store", options(folds="by-source")).store
    assert store.info.patients == 4
    assert store.table.groupby("fold")["source"].unique().map(list).to_dict() == {0: ["north"], 1: ["south"]}
    assert store.table["study_id"].nunique() == 4
    assert not any(finding.level == "leak" for finding in audit(store))


def test_study_numbers_of_two_tables_are_different_studies(tmp_path):
    roots = [tmp_path / "north", tmp_path / "south"]
    for seed, root in enumerate(roots):
        root.mkdir()
        for name in ("a", "b"):
            write_dicom(root / f"{name}.dcm", head((16, 16), seed), PatientID=name)
        (root / "labels.csv").write_text("file,study,any\na.dcm,1,0\nb.dcm,study 2,1\n")
    store = prepare(roots, tmp_path / "store", SMALL).store
    assert sorted(store.table["patient_id"]) == ["north/a", "north/b", "south/a", "south/b"]


def test_each_patient_of_two_sources_may_have_a_study_1(hospitals, tmp_path):
    for root in hospitals:
        rows = "".join(f"ID_{patient}{k}.dcm,P{patient},1,{k}\n" for patient in range(4) for k in range(2))
        (root / "labels.csv").write_text(f"file,patient,study,any\n{rows}")
    assert prepare(hospitals, tmp_path / "store", SMALL).store.info.patients == 8


def test_without_any_usable_slice_rejections_are_listed_below_their_sources(hospitals, tmp_path):
    for file in [file for root in hospitals for file in root.glob("*.dcm")]:
        file.rename(file.with_name(f"x{file.name}"))
    with pytest.raises(NotPrepared) as error:
        prepare(hospitals, tmp_path / "store", SMALL)
    assert {file.partition("/")[0] for file in error.value.rejected["file"]} == {"north", "south"}


@pytest.mark.parametrize(
    ("idle", "message"),
    [
        (
            {"mask_classes": "1=epidural"},
            "--mask-classes 1=epidural: no source here takes its labels from voxel",
        ),
        ({"series": "thin"}, "--series thin: series are chosen for CQ500 and for tables of scans"),
        ({"readers": "any"}, "--readers any: only CQ500 has readers, and it is no source here; omit it"),
    ],
)
def test_an_option_that_no_source_heeds_is_refused(hospitals, tmp_path, idle, message):
    with pytest.raises(InputError, match=message):
        prepare(hospitals, tmp_path / "store", options(**idle))


def test_an_option_is_given_for_one_of_several_sources(hospitals, tmp_path):
    roots = [hospitals[0], write_volumes(tmp_path / "volumes", 3)]
    store = prepare(roots, tmp_path / "store", options(mask_classes="1=epidural")).store
    known = store.table[store.table["source"] == "volumes"]
    assert known["epidural"].tolist() == [0, 0, 0, 0, 1, 0]


def test_names_of_sources_are_hidden_with_hashed_ids(hospitals, tmp_path):
    store = prepare(hospitals, tmp_path / "store", options(hash_ids=True)).store
    assert store.info.sources == ("source1", "source2")
    assert "north" not in (store.path / "store.json").read_text() + store.table.to_csv()


def test_folders_of_one_name_are_numbered(tmp_path):
    for place in ("x", "y"):
        (tmp_path / place).mkdir()
    roots = [write_hospital(tmp_path / place / "ct", seed) for seed, place in enumerate("xy", 1)]
    assert prepare(roots, tmp_path / "store", SMALL).store.info.sources == ("ct-1", "ct-2")


def test_a_source_given_twice_is_refused(hospitals, tmp_path):
    with pytest.raises(InputError, match="given twice"):
        prepare([hospitals[0], hospitals[0]], tmp_path / "store", SMALL)


def test_a_source_inside_another_is_refused(tmp_path):
    outer = write_hospital(tmp_path / "outer", 1)
    inner = write_hospital(outer / "inner", 2)
    with pytest.raises(InputError, match=r"inner: this source lies inside another, .*outer, so its slices"):
        prepare([outer, inner], tmp_path / "store", SMALL)


def test_folds_by_source_need_two_sources(hospitals, tmp_path):
    with pytest.raises(InputError, match="give at least two sources"):
        prepare(hospitals[0], tmp_path / "store", options(folds="by-source"))


def test_tables_are_given_for_every_source_or_none(hospitals, tmp_path):
    with pytest.raises(InputError, match="--labels is given 1 times for 2 sources"):
        prepare(hospitals, tmp_path / "store", options(labels=[hospitals[0] / "labels.csv"]))


def test_a_pattern_that_divides_the_patients_of_the_headers_is_noted(hospitals, tmp_path):
    # Files are ID_PK.dcm, of patient P: the pattern takes each file for a patient.
    made = prepare(hospitals, tmp_path / "store", options(patient=r"(\d+)\.dcm$"))
    assert made.store.info.patients == 16
    assert (
        "south: 4 of 4 patients in the headers count as several (the first: P0 as 00 and 01), so slices of one person "
        "may be on both sides of a split."
    ) in made.notes
    good = prepare(hospitals, tmp_path / "good", options(patient=r"ID_(\d)"))
    assert good.store.info.patients == 8
    assert not any("headers" in note for note in good.notes)


def test_files_whose_paths_name_the_patient_need_not(tmp_path):
    nameless = {"PatientID": None, "StudyInstanceUID": None, "SeriesInstanceUID": None}
    root = write_hospital(tmp_path / "north", 1)
    for patient in range(4):
        write_dicom(root / f"ID_{patient}0.dcm", head((16, 16), patient), **nameless)
    store = prepare(root, tmp_path / "store", options(patient=r"ID_(\d)")).store
    assert store.table["patient_id"].tolist() == ["0", "0", "1", "1", "2", "2", "3", "3"]


def test_tables_of_two_sources_are_not_swapped(hospitals, tmp_path):
    tables = [root / "labels.csv" for root in hospitals]
    assert len(prepare(hospitals, tmp_path / "store", options(labels=tables)).store) == 16
    with pytest.raises(
        InputError, match=r"south/labels.csv: it is given for .*north, but lies in .*south; give"
    ):
        prepare(hospitals, tmp_path / "swapped", options(labels=tables[::-1]))


def test_rejected_files_are_listed_below_their_source(hospitals, tmp_path):
    file = hospitals[1] / "ID_00.dcm"
    file.write_bytes(file.read_bytes()[:-100])
    made = prepare(hospitals, tmp_path / "store", options(max_rejected=0.5))
    assert made.rejected["file"].tolist() == ["south/ID_00.dcm"]


def test_a_stopped_run_of_two_sources_goes_on(hospitals, tmp_path):
    class Stopped(Exception):
        pass

    def stop(done, total, rejected):
        if done == 8:
            raise Stopped

    with pytest.raises(Stopped):
        prepare(hospitals, tmp_path / "store", SMALL, stop)
    begun = []
    prepare(hospitals, tmp_path / "store", SMALL, lambda done, total, rejected: begun.append(done))
    whole = prepare(hospitals, tmp_path / "whole", SMALL).store
    assert begun[0] == 8
    assert (tmp_path / "store" / "hu.npy").read_bytes() == (whole.path / "hu.npy").read_bytes()


@pytest.mark.parametrize("written", ["1", "21", "x", "-2"])
def test_a_number_of_folds_out_of_range_is_refused(written):
    with pytest.raises(InputError, match="--folds must be a whole number from 2 to 20, or by-source"):
        parse_folds(written)
