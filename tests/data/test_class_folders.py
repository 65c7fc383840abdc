import numpy as np
import pytest
from PIL import Image

from ichtune.data.inspect.audit import audit
from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.sources import open_source
from ichtune.errors import InputError
from ichtune.labels import LABELS
from tests.made_up.dicom import head, write_dicom

UNKNOWN = pytest.approx(np.nan, nan_ok=True)
SMALL = PrepareOptions(size=16, folds=2, workers=1)


def write_images(root, names):
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16), number, np.uint8)).save(root / name)
    return root


def labels_of(source) -> dict[str, list[float]]:
    return dict(zip(source.entries["file"], source.entries[list(LABELS)].to_numpy().tolist(), strict=True))


def test_the_folder_of_an_image_is_its_label(tmp_path):
    files = ["Normal/a.png", "epidural/b.png", "SDH/c.jpg", "multi/d.png", "scout/e.png"]
    source = open_source(write_images(tmp_path / "set", files), None, PrepareOptions())
    assert source.format == "folders"
    assert labels_of(source) == {
        # Of the subtypes only epidural and subdural have folders.
        "Normal/a.png": [0, UNKNOWN, UNKNOWN, UNKNOWN, 0, 0],
        "epidural/b.png": [1, UNKNOWN, UNKNOWN, UNKNOWN, 0, 1],
        "SDH/c.jpg": [0, UNKNOWN, UNKNOWN, UNKNOWN, 1, 1],
        "multi/d.png": [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, 1],
    }
    assert any("scout (1)" in note for note in source.notes)


def test_a_folder_without_one_subtype_is_negative_for_that_one_alone(tmp_path):
    source = open_source(
        write_images(tmp_path / "set", ["edh/a.png", "non_edh/b.png"]), None, PrepareOptions()
    )
    assert labels_of(source) == {
        "edh/a.png": [1, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, 1],
        "non_edh/b.png": [0, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN],
    }


def test_dicom_without_a_suffix_in_class_folders_is_used_and_other_files_are_named(tmp_path):
    root = write_images(tmp_path / "set", ["normal/a.png"])
    (root / "edh").mkdir()
    write_dicom(root / "edh" / "IM0001", head((16, 16), 1))
    (root / "edh" / "notes.txt").touch()
    source = open_source(root, None, PrepareOptions())
    assert source.entries["file"].tolist() == ["edh/IM0001", "normal/a.png"]
    assert "1 other file, not used: edh/notes.txt." in source.notes


def test_masks_beside_the_images_of_a_class_are_no_slices(tmp_path):
    files = ["edh/1.png", "edh/masks/1.png", "edh/1_HGE_Seg.jpg", "normal/2.png"]
    source = open_source(write_images(tmp_path / "set", files), None, PrepareOptions())
    assert source.entries["file"].tolist() == ["edh/1.png", "normal/2.png"]
    assert "2 images are masks by their names and were not used: edh/1_HGE_Seg.jpg." in source.notes


def test_a_picture_in_two_class_folders_is_noted(tmp_path):
    root = tmp_path / "set"
    for name, grey in {"edh/1": 50, "normal/1": 50, "normal/2": 90, "normal/3": 90, "sdh/4": 130}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16), grey, np.uint8)).save(root / f"{name}.png")
    made = prepare(root, tmp_path / "store", PrepareOptions(**{**vars(SMALL), "test_fraction": 0}))
    text = (
        "2 slices have the same pixels as another, but a different label (the first: edh/1 and normal/1); one of the "
        "labels is wrong."
    )
    assert text in made.notes
    assert text in [finding.text for finding in audit(made.store)]


def test_binary_class_folders_below_splits_are_found(tmp_path):
    files = ["data/train/Hemorrhagic/1.png", "data/train/Normal/2.png", "data/test/Normal/3.png"]
    source = open_source(write_images(tmp_path / "set", files), None, PrepareOptions())
    assert source.entries["any"].tolist() == [0, 1, 0]
    assert source.entries["subdural"].isna().all()
    assert source.entries["given_split"].tolist() == ["test", "train", "train"]
    assert any("--keep-split" in note for note in source.notes)


def test_a_given_test_folder_is_the_test_set_where_asked(tmp_path):
    files = [
        f"{part}/{kind}/{k}.png"
        for part in ("train", "val", "test")
        for kind in ("normal", "edh")
        for k in range(3)
    ]
    root = write_images(tmp_path / "set", files)
    options = PrepareOptions(**{**vars(SMALL), "keep_split": True})
    store = prepare(root, tmp_path / "store", options).store
    is_test = store.table["slice_id"].str.startswith("test/")
    assert (store.table["split"] == "test").tolist() == is_test.tolist()
    assert store.info.keeps_given_split
    assert sorted(store.table.loc[~is_test, "fold"].unique()) == [0, 1]


def test_a_given_test_set_with_a_patient_of_the_training_set_is_refused(tmp_path):
    files = [
        f"{part}/{kind}/7_{k}.png"
        for part in ("train", "test")
        for kind in ("normal", "edh")
        for k in range(2)
    ]
    root = write_images(tmp_path / "set", [*files, "train/edh/8_0.png"])
    options = PrepareOptions(**{**vars(SMALL), "keep_split": True, "patient": r"(\d+)_"})
    with pytest.raises(InputError, match="1 patients are in the test folder and outside it, such as '7'"):
        prepare(root, tmp_path / "store", options)


def test_patients_are_taken_from_names_only_where_asked(tmp_path):
    files = [
        f"{kind}/{patient:03d}_{k}.png"
        for kind in ("normal", "edh")
        for patient in range(4)
        for k in range(2)
    ]
    root = write_images(tmp_path / "set", files)
    made = prepare(root, tmp_path / "store", SMALL)
    assert made.store.info.patients == 16
    assert not made.store.info.patients_known
    assert any("--patient" in note and "edh/000_0.png" in note for note in made.notes)
    options = PrepareOptions(**{**vars(SMALL), "patient": r"/(\d+)_", "test_fraction": 0.25})
    named = prepare(root, tmp_path / "named", options)
    assert sorted(named.store.table["patient_id"].unique()) == ["000", "001", "002", "003"]
    assert named.store.info.patients_known


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is not a regular expression"),
        (r"/x(\d)", r"finds no patient in 2 of 2 files, such as 'edh/1.png'"),
    ],
)
def test_a_pattern_that_finds_no_patients_is_refused(tmp_path, pattern, message):
    root = write_images(tmp_path / "set", ["edh/1.png", "normal/1.png"])
    with pytest.raises(InputError, match=message):
        open_source(root, None, PrepareOptions(patient=pattern))


def test_folders_of_one_class_are_no_data_set(tmp_path):
    root = write_images(tmp_path / "set", ["edh/1.png", "edh/2.png"])
    with pytest.raises(
        InputError, match="folders of at least two classes, such as normal and epidural; found edh"
    ):
        open_source(root, None, PrepareOptions(format="folders"))
