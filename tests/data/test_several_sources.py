import numpy as np
import pytest

from ichtune.data.options import PrepareOptions, parse_folds
from ichtune.data.prepare import prepare
from ichtune.errors import InputError
from tests.made_up.dicom import head, long_table, write_dicom

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
