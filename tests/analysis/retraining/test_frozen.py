"""The search's own frozen model is kept where it is the better one, as a model like any other."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.report.repeat import retrain_command
from analysis.report.retrained import retrained_models
from analysis.retraining.describe import Retrained
from analysis.retraining.options import RetrainOptions
from analysis.retraining.planning import plan, plans
from analysis.retraining.train import retrain, train
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.trained_model import TrainedModel
from ichtune.runs.folder import RunFolder
from tests.analysis.retraining.test_retrain import FROZEN, LAST, rank_of, run, searched, store

pytestmark = pytest.mark.timeout(120)
__all__ = ["run", "searched", "store"]  # fixtures


@pytest.fixture(scope="module")
def worse(searched: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, list[Retrained]]:
    """A run with a random head that has hardly been trained, and so is worse than the search's own."""
    path = Path(shutil.copytree(searched.path, tmp_path_factory.mktemp("worse") / "tiny"))
    shutil.rmtree(path / "retrain", ignore_errors=True)
    found = RunFolder(path)
    options = RetrainOptions(
        rank=rank_of(found, FROZEN), folds=2, head="fresh", lr=1e-7, epochs=1, label="worse"
    )
    return found, train(plans(found, options))


def test_the_frozen_model_is_written_beside_a_retrained_one_that_scores_worse(
    worse: tuple[RunFolder, list[Retrained]],
):
    found, (retrained, frozen) = worse
    assert frozen.folder == found.path / "retrain" / "worse-frozen"
    scores = [
        retrained.scores[name].parts["validation"]["weighted_log_loss"] for name in ("frozen", "retrained")
    ]
    assert scores[0] < scores[1]
    said = f"(weighted_log_loss {scores[0]:.4f}, retrained {scores[1]:.4f}), so it is the one to use: {frozen.folder}"
    assert any(note.endswith(said) for note in retrained.notes)
    assert "worse-frozen" in (retrained.folder / "MODEL.md").read_text()
    assert (
        "scores better out of fold than the retrained model, worse"
        in (frozen.folder / "MODEL.md").read_text()
    )


def test_the_kept_frozen_model_predicts_what_the_search_s_own_does(
    worse: tuple[RunFolder, list[Retrained]], store: SliceStore
):
    found, (_, frozen) = worse
    model = TrainedModel.open(frozen.folder)
    assert model.about.members == ("fold0", "fold1")
    searched = plan(found, RetrainOptions(rank=rank_of(found, FROZEN), folds=2, label="x")).searched
    predicted = searched.predicted(torch.device("cpu"), lambda *_: None)
    assert predicted is not None
    assert predicted.test is not None
    np.testing.assert_allclose(model.logits(store.hu, store.test), predicted.test, atol=0.03)  # in bfloat16
    assert frozen.comparison["model"].tolist() == ["frozen", "tuned"]


def test_the_report_names_it_and_repeats_it(worse: tuple[RunFolder, list[Retrained]]):
    found, _ = worse
    models, damaged = retrained_models(found)
    assert not damaged
    frozen = next(model for model in models if model.label == "worse-frozen")
    assert frozen.sentence.startswith("The search's own model of rank")
    command = retrain_command(found, frozen)
    assert "--train frozen" in command
    assert "--lr" not in command


def test_a_single_fold_can_be_kept_frozen(run: RunFolder, store: SliceStore):
    made = retrain(run, RetrainOptions(rank=rank_of(run, FROZEN), fold=1, train="frozen"))
    assert made.folder.name.endswith("-frozen")
    assert made.caption.endswith("As searched.")
    about = TrainedModel.open(made.folder).about
    assert (about.origin.fold, about.recipe.model.train) == (1, "frozen")
    assert about.origin.differences == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 2, "head": "fresh"}, "without training it; leave out --epochs, --head"),
        ({"changes": {"loss.name": "bce"}}, "leave out --set loss.name"),
        ({"folds": 2, "final": True}, "leave out --final"),
    ],
)
def test_nothing_about_a_frozen_model_can_be_changed(searched: RunFolder, options: dict, message: str):
    with pytest.raises(InputError, match=message):
        plans(searched, RetrainOptions(rank=rank_of(searched, FROZEN), train="frozen", **options))


def test_a_backbone_that_the_search_trained_was_not_kept(searched: RunFolder):
    with pytest.raises(InputError, match=r"--train frozen: the search trained the backbone .*\(last\)"):
        plans(searched, RetrainOptions(rank=rank_of(searched, LAST), train="frozen"))
