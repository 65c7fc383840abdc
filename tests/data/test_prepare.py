import filecmp
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import NotPrepared, TooManyRejected, prepare
from ichtune.data.slice_table import COLUMNS
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.labels import LABELS
from tests.made_up.dicom import head, long_table, write_dicom

SMALL = PrepareOptions(size=16, folds=3, workers=1, max_rejected=0.5)


def options(**changes) -> PrepareOptions:
    return PrepareOptions(**{**vars(SMALL), **changes})


def assert_same_bytes(one: Path, other: Path) -> None:
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    assert filecmp.cmpfiles(one, other, names, shallow=False) == (names, [], [])


def test_a_store_has_hu_bit_for_bit_with_ids_labels_and_z(rsna_folder, tmp_path):
    root = rsna_folder(patients=10)
    store = prepare(root, tmp_path / "store", SMALL).store
    assert tuple(store.table.columns) == COLUMNS
    assert len(store) == 30
    row = store.table[store.table["slice_id"] == "ID_000400002"].index[0]
    np.testing.assert_array_equal(store.hu[row], head((16, 16), 402))
    assert store.table.loc[row, ["patient_id", "study_id", "z_mm"]].tolist() == [
        "ID_00000004",
        "ID_study4",
        10.0,
    ]
    assert store.table.loc[row, list(LABELS)].tolist() == [0] * 6


def test_slices_of_other_shapes_are_padded_with_air_and_resized_by_area(tmp_path):
    root = tmp_path / "rsna"
    root.mkdir()
    write_dicom(root / "ID_wide.dcm", np.full((16, 32), 40, np.int16))
    for number in range(3):
        write_dicom(root / f"ID_{number}.dcm", head((16, 16), number), PatientID=f"P{number + 2}")
    labels = dict.fromkeys(("ID_wide", "ID_0", "ID_1", "ID_2"), (0,) * 6)
    long_table(labels).to_csv(root / "labels.csv", index=False)
    store = prepare(root, tmp_path / "store", options(test_fraction=0)).store
    wide = store.hu[store.table["slice_id"].tolist().index("ID_wide")]
    np.testing.assert_array_equal(wide[:, 0], [-1000] * 4 + [40] * 8 + [-1000] * 4)


def test_8_bit_images_are_taken_back_to_hu_with_their_window(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(4):
        Image.fromarray(np.full((16, 16), 51 * number, np.uint8)).save(tmp_path / "images" / f"{number}.png")
    (tmp_path / "images" / "labels.csv").write_text(
        "id,any,patient\n" + "".join(f"{k},{k % 2},p{k}\n" for k in range(4))
    )
    store = prepare(tmp_path / "images", tmp_path / "store", options(test_fraction=0, folds=2)).store
    assert store.hu.mean((1, 2)).tolist() == [0, 16, 32, 48]  # 0..255 is 0..80 HU
    assert store.table["epidural"].isna().all()
    assert np.isnan(store.labels[:, :5]).all()


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(rsna_folder, tmp_path):
    root = rsna_folder(patients=10)
    files = sorted((root / "stage_2_train").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-100])
    files[1].write_text("no image")
    made = prepare(root, tmp_path / "store", SMALL)
    assert len(made.store) == 28
    rejected = pd.read_csv(tmp_path / "store" / "rejected.csv", index_col="file")["reason"]
    assert rejected[files[0].name] == "truncated: 412 bytes of pixel data, but the header requires 512"
    assert rejected[files[1].name].startswith("not a DICOM file")


def test_more_rejections_than_allowed_end_it_with_their_list_and_no_store(rsna_folder, tmp_path):
    root = rsna_folder(patients=10)
    for path in sorted((root / "stage_2_train").iterdir())[:3]:
        path.write_text("no image")
    with pytest.raises(
        TooManyRejected, match=r"3 of 30 slices \(10.0%\) were rejected, more than --max-rejected 0.05"
    ):
        prepare(root, tmp_path / "store", options(max_rejected=0.05))
    assert not (tmp_path / "store").exists()
    assert len(pd.read_csv(tmp_path / "store.partial" / "rejected.csv")) == 3


def test_a_repaired_file_is_read_again(rsna_folder, tmp_path):
    root = rsna_folder(patients=30)
    first, *_, last = sorted((root / "stage_2_train").iterdir())
    whole = {path: path.read_bytes() for path in (first, last)}
    for path in whole:
        path.write_text("no image")
    with pytest.raises(TooManyRejected):
        prepare(root, tmp_path / "store", options(max_rejected=0))
    last.write_bytes(whole[last])
    begun = []
    with pytest.raises(TooManyRejected, match="1 of 90 slices"):
        prepare(root, tmp_path / "store", options(max_rejected=0), lambda done, *_: begun.append(done))
    assert begun[0] == 64  # the first two chunks of 32 files are kept
    first.write_bytes(whole[first])
    assert len(prepare(root, tmp_path / "store", options(max_rejected=0)).store) == 90
    prepare(root, tmp_path / "other", SMALL)
    assert_same_bytes(tmp_path / "store", tmp_path / "other")


def test_the_number_of_workers_and_the_order_of_the_files_do_not_matter(rsna_folder, tmp_path):
    root = rsna_folder(patients=24, slices=3)
    other = tmp_path / "other"
    (other / "stage_2_train").mkdir(parents=True)
    for path in sorted((root / "stage_2_train").iterdir(), reverse=True):
        shutil.copy(path, other / "stage_2_train")
    pd.read_csv(root / "stage_2_train.csv").sample(frac=1, random_state=3).to_csv(other / "stage_2_train.csv")
    prepare(root, tmp_path / "one", SMALL)
    prepare(other, tmp_path / "two", options(workers=2))
    assert_same_bytes(tmp_path / "one", tmp_path / "two")


KILLED = """
import os, signal
from pathlib import Path
from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
def killed(done, total, rejected):
    if done >= 64:
        os.kill(os.getpid(), signal.SIGKILL)
prepare(Path("{root}"), Path("{store}"), PrepareOptions(size=16, folds=3, workers=1), killed)
"""


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(rsna_folder, tmp_path):
    root = rsna_folder(patients=40, slices=3)
    script = KILLED.format(root=root, store=tmp_path / "killed")
    ended = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    with open(tmp_path / "killed.partial" / "store" / "hu.npy", "ab") as file:
        file.write(b"half a slice")
    with open(tmp_path / "killed.partial" / "journal.jsonl", "ab") as file:
        file.write(b'[{"entry": 64, "re')
    seen: list[int] = []
    prepare(root, tmp_path / "killed", SMALL, lambda done, total, rejected: seen.append(done))
    assert seen[0] == 64
    prepare(root, tmp_path / "whole", SMALL)
    assert_same_bytes(tmp_path / "killed", tmp_path / "whole")
    assert not (tmp_path / "killed.partial").exists()


def test_a_run_of_other_settings_does_not_go_on_with_what_another_left(rsna_folder, tmp_path):
    root = rsna_folder(patients=40, slices=3)
    script = KILLED.format(root=root, store=tmp_path / "store")
    subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    seen: list[int] = []
    made = prepare(root, tmp_path / "store", options(size=8), lambda done, total, rejected: seen.append(done))
    assert seen[0] == 0
    assert made.store.size == 8


def test_a_finished_store_is_replaced_only_when_asked(rsna_folder, tmp_path):
    root = rsna_folder()
    prepare(root, tmp_path / "store", SMALL)
    with pytest.raises(InputError, match="a finished store is already here; replace it with --overwrite"):
        prepare(root, tmp_path / "store", SMALL)
    assert prepare(root, tmp_path / "store", options(size=8, overwrite=True)).store.size == 8


def test_a_folder_that_is_no_store_is_never_written_into(rsna_folder, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(InputError, match="exists and is not a slice store"):
        prepare(rsna_folder(), tmp_path / "thesis", options(overwrite=True))


def test_hashed_ids_hide_every_identifier_and_keep_the_splits(rsna_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ICHTUNE_HASH_SALT", "the hospital's secret")
    root = rsna_folder()
    next(iter(sorted((root / "stage_2_train").iterdir()))).write_text("no image")
    plain, hashed = (prepare(root, tmp_path / str(h), options(hash_ids=h)).store for h in (False, True))
    for column in ("slice_id", "patient_id", "study_id", "series_id"):
        assert not set(plain.table[column]) & set(hashed.table[column])
        assert plain.table[column].nunique() == hashed.table[column].nunique()
    assert plain.table["fold"].tolist() == hashed.table["fold"].tolist()
    content = b"".join(path.read_bytes() for path in hashed.path.iterdir())
    assert b"ID_0" not in content


def test_reasons_in_a_hashed_store_quote_no_names(tmp_path):
    root = tmp_path / "images"
    for number, name in enumerate(("doe/1.png", "roe/1.png", "a/2.png", "a/3.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16), 60 * number, np.uint8)).save(root / name)
    (root / "labels.csv").write_text("file,patient,any\n1.png,x,1\n2.png,y,1\n3.png,z,0\n")
    changes = {"hash_ids": True, "folds": 2, "test_fraction": 0}
    rejected = pd.read_csv(prepare(root, tmp_path / "store", options(**changes)).store.path / "rejected.csv")
    assert rejected["reason"].tolist() == ["'...' in the table fits 2 files: '...', '...'"] * 2


def test_hashes_differ_from_store_to_store_where_no_salt_is_given(rsna_folder, tmp_path):
    root = rsna_folder()
    one, other = (prepare(root, tmp_path / name, options(hash_ids=True)).store for name in "ab")
    assert not set(one.table["patient_id"]) & set(other.table["patient_id"])


def test_no_header_but_the_ids_leaves_the_reader(tmp_path):
    root = tmp_path / "rsna"
    root.mkdir()
    for number in range(4):
        tags = {"PatientName": "Doe^Jane", "PatientBirthDate": "19700101", "PatientID": f"P{number}"}
        write_dicom(root / f"ID_{number}.dcm", head((16, 16), number), **tags)
    long_table({f"ID_{number}": (0,) * 6 for number in range(4)}).to_csv(root / "labels.csv", index=False)
    store = prepare(root, tmp_path / "store", options(test_fraction=0)).store
    content = b"".join(path.read_bytes() for path in store.path.iterdir())
    assert b"Doe" not in content
    assert b"19700101" not in content


def test_an_unreadable_source_and_an_unwritable_target_are_clear_errors(rsna_folder, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read and write everything")
    (tmp_path / "locked").mkdir(mode=0o000)
    with pytest.raises(InputError, match="can't be read; check its permissions"):
        prepare(tmp_path / "locked", tmp_path / "store", SMALL)
    (tmp_path / "sealed").mkdir(mode=0o500)
    with pytest.raises(InputError, match="can't be written"):
        prepare(rsna_folder(), tmp_path / "sealed" / "store", SMALL)


def test_a_full_disk_ends_it_with_a_clear_error_and_no_store(rsna_folder, tmp_path):
    root = rsna_folder(patients=40, slices=3)
    disk = tmp_path / "disk"
    disk.mkdir()
    ichtune = f"{sys.executable} -m ichtune.cli prepare {root} {disk}/store --size 64 --folds 3 --workers 1"
    script = f"mount -t tmpfs -o size=256k none {disk} || exit 77; {ichtune}; code=$?; ls {disk}; exit $code"
    run = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if run.returncode == 77 or "unshare" in run.stderr:
        pytest.skip("a small file system can't be mounted here")
    assert run.returncode == 1
    assert "error: the disk is full" in run.stderr
    assert run.stdout.split()[-1] == "store.partial"


@pytest.mark.parametrize("size", [512, 256])
def test_an_rsna_like_set_of_real_slices_comes_out_as_its_truth(ct_ich, rsna_maker, tmp_path, size):
    made = [
        sys.executable,
        str(rsna_maker),
        str(tmp_path / "set"),
        "--source",
        str(ct_ich),
        "--patients",
        "6",
    ]
    subprocess.run(made, check=True, timeout=120, capture_output=True)
    truth = pd.read_csv(tmp_path / "set" / "truth.csv").set_index("sop")
    store = prepare(tmp_path / "set", tmp_path / "store", PrepareOptions(size=size, folds=2, workers=1)).store
    rejected = set(pd.read_csv(store.path / "rejected.csv")["file"].str.removesuffix(".dcm"))
    planted = truth.index[truth["quirk"].isin(["truncated", "conflict", "unlabeled", "missing"])]
    assert rejected == {*planted, "ID_notadicom"}
    table = store.table.set_index("slice_id")
    expected = truth.loc[table.index]
    assert (table[list(LABELS)].to_numpy(int) == expected[list(LABELS)].to_numpy()).all()
    np.testing.assert_allclose(table["z_mm"], expected["z"])
    square = (expected["quirk"] != "odd_size").to_numpy()
    mean = store.hu.reshape(len(store), -1).mean(axis=1)
    np.testing.assert_allclose(mean[square], expected["mean_hu"][square], atol=1e-6 if size == 512 else 0.5)
    if size == 512:  # 490 x 638 padded to 638 x 638 with air before it was resized
        odd = (490 * expected["mean_hu"][~square] + (638 - 490) * -1000) / 638
        np.testing.assert_allclose(mean[~square], odd, atol=0.5)


def test_a_store_of_real_ct_ich_slices_is_whole(ct_ich, tmp_path):
    store = prepare(ct_ich, tmp_path / "store", PrepareOptions(size=64)).store
    assert isinstance(store, SliceStore)
    assert (len(store), store.info.patients) == (1879, 61)
    assert np.nansum(store.labels, axis=0).tolist() == [135, 34, 7, 5, 23, 200]


def write_labeled(root: Path, patients: list[str], **tags: object) -> Path:
    """DICOM slices, three for each of these PatientIDs, each patient with a study, beside a table without patients."""
    root.mkdir()
    rows = []
    for number, patient in enumerate(patients):
        for part in range(3):
            ids = {"PatientID": patient, "StudyInstanceUID": f"1.2.{number + 1}", **tags}
            write_dicom(root / f"s{number}_{part}.dcm", head((16, 16), 10 * number + part), **ids)
            rows.append(f"s{number}_{part},{number % 2}\n")
    (root / "labels.csv").write_text("id,any\n" + "".join(rows))
    return root


def test_slices_without_a_patient_id_are_grouped_by_their_study(tmp_path):
    made = prepare(write_labeled(tmp_path / "set", [""] * 6), tmp_path / "store", options(test_fraction=0))
    assert made.store.info.patients == 6
    assert not made.store.info.patients_known
    assert made.store.table.groupby("study_id")["fold"].nunique().max() == 1
    assert "18 slices don't name a patient: their study counts as the patient" in made.notes[0]


def test_an_rsna_like_set_without_patient_ids_is_grouped_by_study_as_well(rsna_folder, tmp_path):
    root = rsna_folder(patients=6)
    for path in (root / "stage_2_train").iterdir():
        ds = pydicom.dcmread(path)
        ds.PatientID = ""
        ds.save_as(path)
    info = prepare(root, tmp_path / "store", options(test_fraction=0)).store.info
    assert (info.patients, info.patients_known) == (6, False)


def test_images_without_any_patient_say_that_leaks_cannot_be_ruled_out(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.fromarray(np.full((16, 16), number, np.uint8)).save(tmp_path / "images" / f"{number}.png")
    (tmp_path / "images" / "labels.csv").write_text("id,any,patient\n0,1,\n1,0,\n2,0,\n")
    made = prepare(tmp_path / "images", tmp_path / "store", options(test_fraction=0))
    assert not made.store.info.patients_known
    assert "Leaks can't be ruled out" in made.notes[0]


def test_one_patient_makes_a_store_of_test_slices_alone(tmp_path):
    root = write_labeled(tmp_path / "set", ["P1"])
    store = prepare(root, tmp_path / "store", options(all_test=True)).store
    assert (store.info.patients, store.info.folds, store.info.test_fraction) == (1, 0, 1.0)
    assert set(store.table["split"]) == {"test"}
    assert (len(store.train), len(store.test), store.fold_indices()) == (0, 3, [])


def test_a_stop_after_reading_comes_with_the_rejections_and_fitting_advice(tmp_path):
    root = write_labeled(tmp_path / "set", ["P1"])
    (root / "s0_1.dcm").write_text("no image")
    with pytest.raises(
        NotPrepared, match=r"only one patient.*make a store of only test slices with --all-test"
    ) as told:
        prepare(root, tmp_path / "store", SMALL)
    kept = pd.read_csv(tmp_path / "store.partial" / "rejected.csv")
    assert kept["file"].tolist() == told.value.rejected["file"].tolist() == ["s0_1.dcm"]
    assert "store.partial/rejected.csv" in str(told.value)


def test_patients_named_in_the_table_are_counted_before_anything_is_read(tmp_path):
    root = write_labeled(tmp_path / "set", ["P1", "P2"])
    rows = [f"s{number}_{part},{number},p\n" for number in range(2) for part in range(3)]
    (root / "labels.csv").write_text("id,any,patient\n" + "".join(rows))
    seen: list[int] = []
    with pytest.raises(NotPrepared, match="only one patient"):
        prepare(root, tmp_path / "store", SMALL, lambda done, total, rejected: seen.append(done))
    assert not seen
