"""`ichtune evaluate`: which slices are taken, and what is written and said."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import ichtune
from analysis.evaluation.evaluate import evaluate
from analysis.evaluation.options import EvaluateOptions
from analysis.evaluation.plan import Plan
from analysis.evaluation.worst import worst
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.about import read_about, write_about
from ichtune.inference.calibration import Calibration
from ichtune.inference.trained_model import TrainedModel
from ichtune.inference.whole_scans import whole_scans
from ichtune.labels import LABELS
from ichtune.recipe import GRU
from tests.made_up.models import RECIPE, write_ensemble_folder, write_model_folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "model")


def trained_on(model: Path, store: SliceStore, fold: int | None = 0) -> Path:
    """The model as if it had been trained on a store, with this validation fold."""
    about = read_about(model)
    origin = about.origin.model_copy(update={"fold": fold})
    write_about(model, about.model_copy(update={"fingerprint": store.fingerprint, "origin": origin}))
    return model


def changed(store: SliceStore, **columns: object) -> SliceStore:
    """The store with other contents of these columns."""
    table = pd.read_parquet(store.path / "slices.parquet")
    table.assign(**columns).to_parquet(store.path / "slices.parquet")
    return SliceStore.open(store.path)


def test_the_test_set_of_the_models_own_store_is_taken(model, prepared):
    plan = Plan.of(trained_on(model, prepared), prepared.path)
    assert plan.chosen.rows.tolist() == prepared.test.tolist()
    assert not plan.chosen.warning


def test_a_calibrated_ensemble_is_evaluated_by_what_it_predicts(tmp_path, small_store):
    steep = Calibration.identity("by hand").model_copy(update={"slopes": dict.fromkeys(LABELS, 9.0)})
    folder = write_ensemble_folder(tmp_path / "both", calibration=steep)
    slices = evaluate(Plan.of(folder, small_store.path)).slices
    predicted = TrainedModel.open(folder).predict(small_store.hu, scans=small_store.scans)
    np.testing.assert_allclose(slices.probabilities, predicted, atol=1e-6)


def test_all_of_another_store_is_taken(model, prepared):
    assert len(Plan.of(model, prepared.path).chosen.rows) == len(prepared)


def test_without_a_test_set_the_fold_that_was_not_trained_on_is_taken_with_a_warning(model, small_store):
    fold = np.arange(30) // 3 % 2
    store = changed(small_store, split="train", fold=fold)
    plan = Plan.of(trained_on(model, store, fold=1), store.path)
    assert plan.chosen.rows.tolist() == np.flatnonzero(fold == 1).tolist()
    assert "optimistic" in plan.remarks[0]


def test_slices_that_all_were_trained_on_are_refused_unless_asked_for(model, small_store):
    store = changed(small_store, split="train", fold=0)
    trained_on(model, store, fold=None)
    with pytest.raises(InputError, match=r"was trained on all of this store.*--split train"):
        Plan.of(model, store.path)
    plan = Plan.of(model, store.path, EvaluateOptions(split="train"))
    assert "far too good" in plan.remarks[0]


def test_a_store_without_labels_is_refused(model, small_store):
    store = changed(small_store, **dict.fromkeys(LABELS, pd.array([pd.NA] * 30, "Int8")))
    with pytest.raises(InputError, match="no label is known of any of the 30 slices"):
        Plan.of(model, store.path)


def test_labels_that_the_store_does_not_know_are_named(model, small_store):
    unknown = dict.fromkeys(LABELS[:5], pd.array([pd.NA] * 30, "Int8"))
    plan = Plan.of(model, changed(small_store, **unknown).path)
    assert f"not scored, as the store doesn't know them: {', '.join(LABELS[:5])}" in plan.remarks


def test_the_scores_are_those_of_the_models_own_predictions(model, prepared, ichtune):
    code, output, errors = ichtune("evaluate", model, "--data", prepared.path)
    assert code == 0, errors
    folder = model / "evaluation" / "store-all"
    found = json.loads((folder / "evaluation.json").read_text())
    probs = TrainedModel.open(model).predict(prepared.hu, scans=prepared.scans)
    expected = roc_auc_score(prepared.labels[:, 5], probs[:, 5])
    (by_slice,) = (row for row in found["labels"] if row["by"] == "slice" and row["label"] == "any")
    assert by_slice["auc"] == pytest.approx(expected)
    assert "30 slices, 10 scans, 10 patients" in output
    for name in ("scores", "labels", "decisions", "calibration"):
        assert {file.suffix for file in folder.glob(f"{name}.*")} >= {".csv", ".md", ".tex", ".xlsx"}
    for name in ("roc", "precision_recall", "calibration", "worst"):
        assert {file.suffix for file in folder.glob(f"{name}.*")} >= {".png", ".svg"}
    page = (folder / "evaluation.html").read_text()
    assert page.count("<img") == 4
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_the_worst_slices_are_the_most_wrong_of_each_patient(model, prepared):
    made = evaluate(Plan.of(model, prepared.path))
    found = worst(made)
    probs, labels = made.slices.probabilities[:, 5], prepared.labels[:, 5]
    missed = found[(found["label"] == "any") & (found["truth"] == "present")]
    positive = np.flatnonzero(labels == 1)
    assert missed["row"].iloc[0] == positive[np.argmin(probs[positive])]
    assert missed["patient_id"].is_unique
    assert (labels[missed["row"]] == 1).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing", "--data", "STORE"), "no model here"),
        (("MODEL", "--data", "nothing"), "no such store"),
        (("MODEL", "--data", "STORE", "--split", "validation"), "only a model of a single fold"),
    ],
)
def test_wrong_input_is_one_line(model, prepared, ichtune, arguments, said):
    places = {"MODEL": model, "STORE": prepared.path}
    code, _, errors = ichtune("evaluate", *(places.get(each, each) for each in arguments))
    assert code == 2
    assert said in errors
    assert errors.count("\n") == 1


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """A model whose head reads whole scans."""
    return write_model_folder(tmp_path / "reader", RECIPE.model_copy(update={"head": GRU(hidden=4)}))


def test_a_head_that_reads_scans_sees_them_whole(reader, prepared):
    made = evaluate(Plan.of(reader, prepared.path))
    probs = TrainedModel.open(reader).predict(prepared.hu, scans=prepared.scans)
    assert np.allclose(made.slices.probabilities, probs, atol=1e-6)


def test_a_head_that_reads_scans_is_refused_on_a_store_without_series(reader, small_store):
    store = changed(small_store, series_id="", z_mm=np.nan)
    with pytest.raises(InputError, match="its gru head reads whole scans"):
        Plan.of(reader, store.path)


def test_slices_smaller_than_the_models_are_pointed_out(tmp_path, prepared):
    larger = RECIPE.model_copy(update={"model": RECIPE.model.model_copy(update={"size": 64})})
    plan = Plan.of(write_model_folder(tmp_path / "larger", larger), prepared.path)
    assert any("of 32 pixels are enlarged to the model's 64" in remark for remark in plan.remarks)


def test_python_gets_the_same_scores_as_tables(model, prepared):
    (made,) = ichtune.evaluate([model], [prepared.path])
    assert made.overall["by"].tolist() == ["slice", "scan"]
    with pytest.raises(InputError, match="did you mean 'test'"):
        ichtune.evaluate([model], [prepared.path], split="tests")


def test_scans_are_read_whole_and_every_slice_once():
    of_row = np.random.default_rng(0).integers(0, 40, 2000)
    parts = list(whole_scans(of_row))
    assert len(parts) > 4
    assert sorted(np.concatenate(parts).tolist()) == list(range(2000))
    scans = [set(of_row[part]) for part in parts]
    assert sum(map(len, scans)) == len(set().union(*scans))
