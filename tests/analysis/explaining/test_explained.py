"""Which slices explain a model, where their heat is, and what the command writes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.explaining.choose import Outcome, Part, choose
from analysis.explaining.classes import class_accuracies
from analysis.explaining.heat import head_mask, share_outside
from analysis.report.retrained import RetrainedModel
from ichtune.data.blood_masks import read_blood_mask, write_blood_mask
from ichtune.data.phantom.write import write_phantoms
from ichtune.data.store import SliceStore
from ichtune.inference.about import Finetuned, read_about, write_about
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import LABELS
from ichtune.metrics import evaluate
from tests.made_up.models import write_model_folder

EVERY = dict.fromkeys(Outcome, 9)


def test_right_ones_false_alarms_and_misses_are_told_apart_by_the_threshold():
    truth = np.array([1, 1, 0, 0, 1, np.nan])
    found = choose(truth, np.array([0.9, 0.2, 0.3, 0.1, 0.3, 0.9]), 0.3, np.arange(6), EVERY)
    assert {outcome: places.tolist() for outcome, places in found.items()} == {
        Outcome.RIGHT: [0, 4],
        Outcome.FALSE_ALARM: [2],
        Outcome.MISSED: [1],
    }


def test_the_clearest_slices_come_first_and_one_of_each_patient_before_a_second():
    truth, patients = np.ones(5), np.array(["a", "a", "b", "b", "c"])
    found = choose(truth, np.array([0.9, 0.8, 0.7, 0.2, 0.1]), 0.5, patients, EVERY)
    assert found[Outcome.RIGHT].tolist() == [0, 2, 1]
    assert found[Outcome.MISSED].tolist() == [4, 3]


@pytest.mark.parametrize(
    ("air", "least"), [(-1000, -1000), (0, 0)], ids=["in HU", "stored in the brain window"]
)
def test_the_head_is_the_largest_dense_part_with_its_cavities(air: int, least: int):
    hu = np.full((20, 20), air, np.int16)
    hu[4:14, 5:15] = 60
    hu[8:10, 8:10] = least  # a cavity
    hu[17, 2:18] = 70  # the table
    expected = np.zeros((20, 20), bool)
    expected[4:14, 5:15] = True
    # The opening rounds the corners off.
    differ = head_mask(hu) != expected
    assert set(zip(*map(np.ndarray.tolist, np.nonzero(differ)), strict=True)) <= {
        (4, 5),
        (4, 14),
        (13, 5),
        (13, 14),
    }
    assert not head_mask(np.full((8, 8), -1000, np.int16)).any()


def test_the_store_that_a_fine_tuned_model_began_on_is_its_own_too(prepared: SliceStore, tmp_path: Path):
    folder = write_model_folder(tmp_path / "model")
    about = read_about(folder)
    before = Finetuned(model="m", weights_sha256="0", fingerprints=(prepared.fingerprint,))
    origin = about.origin.model_copy(update={"finetuned": before})
    write_about(folder, about.model_copy(update={"origin": origin}))
    assert Part.of(TrainedModel.open(folder), prepared).words.startswith(("the test set", "all slices of"))


def test_the_share_of_heat_outside_is_that_of_the_sum():
    heat = np.array([[3.0, 1.0], [0.0, 0.0]], np.float32)
    assert share_outside(heat, np.array([[True, False], [False, False]])) == 0.25
    assert np.isnan(share_outside(np.zeros((2, 2), np.float32), np.ones((2, 2), bool)))


def test_the_accuracy_of_a_class_is_the_share_of_its_slices_that_are_recognised():
    nothing, subdural = [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]
    unknown = [np.nan] * 5 + [1]
    truth = np.array([nothing, nothing, nothing, subdural, subdural, unknown])
    present = np.array([nothing, nothing, subdural, subdural, nothing, nothing]) == 1
    shares = {of.name: (len(of.places), of.share) for of in class_accuracies(truth, present)}
    assert shares.pop("subdural") == (2, 1 / 2)
    assert shares.pop("none") == (3, pytest.approx(2 / 3))
    assert {slices for slices, _ in shares.values()} == {0}
    assert evaluate(present.astype(float), truth)["subset_accuracy"] == 3 / 6


def test_explaining_a_model_writes_a_grid_a_table_and_a_picture_per_slice(
    ichtune, prepared: SliceStore, tmp_path: Path
):
    model = write_model_folder(tmp_path / "model")
    options = ("--label", "subdural", "--right", 2, "--wrong", 2)
    code, output, errors = ichtune("explain", model, "--data", prepared.path, *options)
    assert code == 0, errors
    assert f"slices: {len(prepared)} (all slices, as the model was trained on another store)" in output
    table = pd.read_csv(model / "explain" / "evidence-subdural.csv")
    assert table["outcome"].value_counts().max() <= 2
    truth = prepared.table["subdural"].to_numpy(float)[table["row"]]
    assert (truth == (table["outcome"] != "false alarm")).all()
    assert len(list((model / "explain" / "evidence-subdural").glob("*.png"))) == len(table)
    with Image.open(model / "explain" / "evidence-subdural.png") as picture:
        assert len(picture.convert("RGB").getcolors(2**24)) > 1000
    metrics = {"metric": "f1", "parts": {}, "models": {}, "history": {}, "notes": []}
    shown = RetrainedModel(model, read_about(model), metrics).pictures
    assert [figure.title for figure in shown] == ["Classes", "Evidence for subdural"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--label", "subdual"), "did you mean 'subdural'"),
        (("--layer", "layer9"), "--layer: this network has no layer 'layer9'; did you mean"),
        (("--data", "nowhere"), "nowhere: no such store"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_line(
    ichtune, prepared: SliceStore, tmp_path: Path, options: tuple[str, ...], message: str
):
    model = write_model_folder(tmp_path / "model")
    code, _, errors = ichtune("explain", model, "--data", prepared.path, *options)
    assert (code, errors.count("\n")) == (2, 1)
    assert message in errors
    assert not (model / "explain").exists()
    code, _, errors = ichtune("explain", tmp_path, "--data", prepared.path)
    assert code == 2
    assert "no model here" in errors


@pytest.mark.parametrize(
    ("labels", "message"),
    [(0, "--label any: no slice has it (all slices, "), (None, "no slice has known labels (all slices, ")],
    ids=["no positive slice", "no labels"],
)
def test_a_store_without_slices_to_explain_is_refused(
    ichtune, small_store: SliceStore, tmp_path: Path, labels: int | None, message: str
):
    table = small_store.table.copy()
    for label in LABELS:
        table[label] = pd.array([labels] * len(table), "Int8")
    table.to_parquet(small_store.path / "slices.parquet")
    code, _, errors = ichtune("explain", write_model_folder(tmp_path / "model"), "--data", small_store.path)
    assert (code, errors.count("\n")) == (2, 1)
    assert message in errors


def test_the_share_of_heat_on_the_blood_of_a_phantom_is_known(ichtune, tmp_path: Path):
    write_phantoms(tmp_path / "source", patients=2, seed=1, workers=1, size=64, masks=True)
    masks = tmp_path / "source" / "masks"
    code, _, errors = ichtune("prepare", tmp_path / "source", tmp_path / "store", "--size", 32, "--all-test")
    assert code == 0, errors
    store = SliceStore.open(tmp_path / "store")
    positive = set(store.table["slice_id"][store.table["any"] == 1])
    assert positive <= {file.stem for file in masks.glob("*.png")}
    model = write_model_folder(tmp_path / "model")
    code, output, errors = ichtune("explain", model, "--data", store.path, "--masks", masks)
    assert code == 0, errors
    assert "heat on the blood" in output
    table = pd.read_csv(model / "explain" / "evidence-any.csv")
    known = table["slice_id"].isin(positive) & table["heat_outside_head"].notna()
    assert known.any()
    assert table["heat_on_blood"][known].between(0, 1 - table["heat_outside_head"][known] + 0.05).all()
    code, _, errors = ichtune("explain", model, "--data", store.path, "--masks", tmp_path)
    assert (code, "has no mask SLICE_ID.png of a slice" in errors) == (2, True)


def test_a_mask_of_blood_is_read_by_its_label_at_the_stores_size(tmp_path: Path):
    share = np.zeros((8, 8), np.float32)
    share[:4, :4] = 0.9
    write_blood_mask(tmp_path, "a", {"epidural": np.rot90(share), "subdural": share})
    assert np.asarray(Image.open(tmp_path / "a.png"))[0, 0] == 5
    assert read_blood_mask(tmp_path, "a", "subdural", 4).tolist() == [[1, 1, 0, 0]] * 2 + [[0] * 4] * 2
    assert read_blood_mask(tmp_path, "a", "any", 4).sum() == 8
    assert not read_blood_mask(tmp_path, "a", "intraventricular", 4).any()
    assert read_blood_mask(tmp_path, "b", "any", 4) is None
