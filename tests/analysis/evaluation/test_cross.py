"""Several models and stores: the same slices for all, and differences on the same patients."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from analysis.evaluation.cross import cross_rows, paired_rows, plans
from analysis.evaluation.evaluate import evaluate
from analysis.evaluation.options import EvaluateOptions
from analysis.evaluation.plan import Plan
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.trained_model import TrainedModel
from ichtune.inference.training_data import TrainingData, read_training_data
from ichtune.labels import LABELS
from tests.analysis.evaluation.test_evaluate import changed, trained_on
from tests.made_up.models import write_model_folder

NOTHING_ASKED = EvaluateOptions()


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [write_model_folder(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]


def test_all_models_are_scored_on_the_test_set_of_the_one_that_was_trained_on_the_store(models, prepared):
    trained_on(models[1], prepared)
    of_one, of_two = plans(models, [prepared.path], NOTHING_ASKED)
    assert of_one.chosen.rows.tolist() == of_two.chosen.rows.tolist() == prepared.test.tolist()
    assert "for all models alike, as two was trained on this store" in of_one.facts["slices"]


def test_models_without_common_slices_are_refused(models, small_store):
    store = changed(small_store, split="train", fold=np.arange(30) // 3 % 2)
    for fold, model in enumerate(models):
        trained_on(model, store, fold=fold)
    with pytest.raises(InputError, match="no slices in common"):
        plans(models, [store.path], NOTHING_ASKED)


def test_a_model_given_twice_is_refused(models, prepared):
    with pytest.raises(InputError, match="given twice"):
        plans([models[0], models[0]], [prepared.path], NOTHING_ASKED)


def test_the_cross_table_has_every_model_on_every_store(models, prepared, other):
    made = [evaluate(plan) for plan in plans(models, [prepared.path, other.path], NOTHING_ASKED)]
    rows = cross_rows(made).set_index(["model", "store", "by"])
    for model in models:
        for store in (prepared, other):
            probs = TrainedModel.open(model).predict(store.hu, scans=store.scans)
            expected = np.mean(
                [
                    roc_auc_score(store.labels[:, column], probs[:, column])
                    for column in range(6)
                    if 0 < store.labels[:, column].sum() < len(store)
                ]
            )
            assert rows.at[(model.name, store.path.name, "slice"), "auc"] == pytest.approx(expected)


def test_a_model_does_not_differ_from_its_own_copy(models, prepared, tmp_path):
    copy = write_model_folder(tmp_path / "copy", seed=0)
    made = [evaluate(plan) for plan in plans([models[0], copy], [prepared.path], NOTHING_ASKED)]
    rows = paired_rows(made)
    known = rows["before"].notna()
    assert (rows["difference"][known] == 0).all()


def test_several_models_and_stores_end_in_one_table(models, prepared, other, ichtune, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output, errors = ichtune("evaluate", *models, "--data", prepared.path, "--data", other.path)
    assert code == 0, errors
    found = json.loads((tmp_path / "evaluation" / "cross.json").read_text())
    assert {(row["model"], row["store"]) for row in found["rows"]} == {
        (model, store) for model in ("one", "two") for store in ("store", "other")
    }
    assert (tmp_path / "evaluation" / "paired.csv").is_file()
    assert (tmp_path / "evaluation" / "two-on-other" / "evaluation.html").is_file()
    assert "on other" in output


def test_patients_and_pixels_that_the_model_was_trained_on_are_pointed_at_before_any_number(
    models, prepared, small_store
):
    TrainingData.of(prepared).write(models[0])
    copy = changed(small_store, split="test", fold=-1)
    seen = len(set(prepared.patients[prepared.train]))
    plan = Plan.of(models[0], copy.path)
    assert plan.remarks[0].startswith(
        f"{seen} of 10 patients have the identifier of a patient that the model"
    )
    assert plan.remarks[1].startswith(f"{len(prepared.train)} of 30 slices have exactly the pixels")


def test_nothing_is_pointed_at_in_a_store_of_other_patients(models, prepared, other, tmp_path):
    copy = SliceStore.open(shutil.copytree(other.path, tmp_path / "copy"))
    changed(copy, patient_id=[f"other {name}" for name in copy.patients])
    TrainingData.of(prepared).write(models[0])
    assert Plan.of(models[0], copy.path).remarks == []


def test_an_older_model_folder_says_that_sharing_cannot_be_checked(models, prepared):
    assert "can't be checked" in Plan.of(models[0], prepared.path).remarks[0]


def test_pixels_of_another_size_cannot_be_compared(models, prepared):
    data = TrainingData.of(prepared)
    TrainingData(data.patients[:0], {64: np.zeros(1, np.uint64)}, data.labels, salted=False).write(models[0])
    remarks = Plan.of(models[0], prepared.path).remarks
    assert remarks[0].startswith("patients can't be compared")
    assert "slices of 64 pixels, not 32" in remarks[1]


def test_labels_that_the_model_was_trained_without_are_not_scored(models, small_store, prepared):
    unknown = dict.fromkeys(LABELS[:5], pd.array([pd.NA] * 30, "Int8"))
    binary = changed(small_store, **unknown)
    TrainingData.of(binary).write(models[0])
    of_one, of_two = plans(models, [prepared.path], NOTHING_ASKED)
    assert any("trained without them: epidural" in remark for remark in of_one.remarks)
    made = [evaluate(plan) for plan in (of_one, of_two)]
    assert [set(each.by_label["label"]) for each in made] == [{"any"}, {"any"}]


def test_training_data_comes_back_as_written(prepared, tmp_path):
    data = TrainingData.of(prepared)
    data.write(tmp_path)
    read = read_training_data(tmp_path)
    assert read is not None
    assert read.patients.tolist() == data.patients.tolist()
    assert len(read.patients) == len(set(prepared.patients[prepared.train]))
    assert read.pixels[32].tolist() == data.pixels[32].tolist()
    assert (read.labels, read.salted) == (LABELS, False)


def test_damaged_training_data_are_refused(models, prepared):
    (models[0] / "training_data.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged"):
        Plan.of(models[0], prepared.path)
