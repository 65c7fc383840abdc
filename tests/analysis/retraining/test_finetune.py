"""A model that is trained on, on another store."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.evaluation.options import EvaluateOptions
from analysis.evaluation.plan import Plan
from analysis.retraining.finetune import finetune, plan
from analysis.retraining.finetune_options import FinetuneOptions
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.about import read_about
from ichtune.inference.model_folder import read_networks, write_ensemble
from ichtune.inference.trained_model import TrainedModel
from ichtune.inference.training_data import TrainingData, read_training_data
from ichtune.models.heads import make_heads
from ichtune.models.heads.saved import exported_state
from ichtune.recipe import GRU, MLP, Linear
from tests.analysis.evaluation.test_evaluate import trained_on
from tests.made_up.models import RECIPE, write_model_folder

SHORT = FinetuneOptions(epochs=1)


@pytest.fixture
def model(tmp_path: Path, prepared: SliceStore) -> Path:
    """A model that was trained on the prepared store."""
    folder = trained_on(write_model_folder(tmp_path / "model"), prepared)
    TrainingData.of(prepared).write(folder)
    return folder


@pytest.mark.parametrize("head", [Linear(), Linear(normalize="layer"), MLP(hidden=8), GRU(hidden=4)])
def test_a_head_comes_back_from_its_exported_module(head):
    recipe = RECIPE.model_copy(update={"head": head})
    trained, fresh = make_heads(recipe, 16, [0]), make_heads(recipe, 16, [1])
    fresh.load(0, exported_state(trained.export(0)))
    for name, tensor in trained.state(0).items():
        assert torch.equal(fresh.state(0)[name], tensor), name


def test_training_starts_from_the_models_own_weights(model, other):
    network = plan(model, other.path, SHORT).member.network().eval()
    _, (classifier,) = read_networks(model)
    images = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(network(images)[0], classifier.eval()(images), atol=1e-5)


def test_the_new_model_says_what_it_started_from_and_knows_both_stores(model, prepared, other):
    folder = finetune(plan(model, other.path, FinetuneOptions(epochs=2, lr_factor=0.5)))
    before, after = read_about(model), read_about(folder)
    assert folder == model / "finetuned-other"
    assert after.fingerprints == (other.fingerprint, prepared.fingerprint)
    assert after.origin.finetuned is not None
    assert after.origin.finetuned.weights_sha256 == before.weights_sha256 != after.weights_sha256
    assert after.recipe.optimizer.lr == before.recipe.optimizer.lr / 2
    assert after.recipe.training.epochs == 2
    seen = read_training_data(folder)
    assert seen is not None
    assert len(seen.pixels[32]) == len(prepared.train) + len(other.train)
    rows = other.test
    probs = [TrainedModel.open(each).predict(other.hu, rows) for each in (model, folder)]
    assert not np.allclose(*probs)


def test_neither_stores_training_slices_are_taken_silently_for_the_new_model(model, prepared, other):
    folder = finetune(plan(model, other.path, SHORT))
    for store in (prepared, other):
        assert Plan.of(folder, store.path).chosen.rows.tolist() == store.test.tolist()
        assert "far too good" in Plan.of(folder, store.path, EvaluateOptions(split="all")).remarks[0]


def test_the_same_seed_gives_the_same_model(model, other, tmp_path):
    folders = [
        finetune(plan(model, other.path, FinetuneOptions(epochs=1, out=tmp_path / name)))
        for name in ("first", "second")
    ]
    hashes = [read_about(folder).weights_sha256 for folder in folders]
    assert hashes[0] == hashes[1]


def test_an_unfinished_training_resumes_to_the_same_weights(model, other, tmp_path):
    whole = finetune(plan(model, other.path, FinetuneOptions(epochs=2, out=tmp_path / "whole")))
    planned = plan(model, other.path, FinetuneOptions(epochs=2, out=tmp_path / "cut"))
    work = tmp_path / ".cut.partial"
    work.mkdir()

    def interrupt(done: int, total: int, remark: str) -> None:
        if remark.startswith("1 of 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(planned, interrupt)
    assert len(planned.member.begun(work).history) == 1
    resumed = finetune(planned)
    assert read_about(whole).weights_sha256 == read_about(resumed).weights_sha256


def test_an_ensemble_is_refused_with_what_to_do_instead(model, other, tmp_path):
    several = tmp_path / "several"
    several.mkdir()
    for name in ("fold0", "fold1"):
        shutil.copytree(model, several / name)
    fields = read_about(model).model_dump(exclude={"members", "weights_sha256", "format"})
    write_ensemble(several, ["fold0", "fold1"], **fields)
    with pytest.raises(InputError, match=r"an ensemble of 2 models.*fold0"):
        plan(several, other.path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (FinetuneOptions(lr_factor=0), "--lr-factor: must be above 0"),
        (FinetuneOptions(fold=9), "has folds 0 to 1, got 9"),
        (FinetuneOptions(metric="acu"), "did you mean 'auc'"),
        (FinetuneOptions(changes={"model.windows": ["brain"]}), "model was trained with"),
        (FinetuneOptions(changes={"optimizer.lrr": 1}), "lrr"),
    ],
)
def test_what_cannot_be_done_is_refused_before_training(model, other, options, said):
    with pytest.raises(InputError, match=said):
        plan(model, other.path, options)


def test_the_models_own_store_is_refused(model, prepared):
    with pytest.raises(InputError, match="was trained on this store"):
        plan(model, prepared.path)


def test_the_command_shows_before_and_after_on_both_stores(model, prepared, other, ichtune):
    code, output, errors = ichtune(
        "finetune", model, "--data", other.path, "--before", prepared.path, "--epochs", 1
    )
    assert code == 0, errors
    folder = model / "finetuned-other"
    rows = (folder / "evaluation" / "cross.csv").read_text().splitlines()
    by_slice = [row.split(",") for row in rows if ",slice," in row]
    assert {(row[0], row[2]) for row in by_slice} == {
        (name, store) for name in ("model", "finetuned-other") for store in ("store", "other")
    }
    assert "on store" in output
    assert "on other" in output
    assert "calibration: Platt scaling on the out-of-fold predictions of" in output
    assert (
        "finetuned-other (trained on store, then other)" in (folder / "evaluation" / "cross.md").read_text()
    )
