"""Several trainings of a recipe are kept as one model; each slice is scored by one that has not seen its head."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from analysis.report.repeat import retrain_command
from analysis.report.retrained import retrained_models
from analysis.retraining.options import RetrainOptions
from analysis.retraining.planning import plan, plans
from analysis.retraining.train import train
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.about import ModelError
from ichtune.inference.trained_model import TrainedModel
from ichtune.runs.folder import RunFolder
from tests.analysis.retraining.test_retrain import FROZEN, rank_of, run, searched, store

pytestmark = pytest.mark.timeout(240)
__all__ = ["run", "searched", "store"]  # fixtures


@pytest.fixture(scope="module")
def trained(searched: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with an ensemble of two folds, a final model, and nothing else retrained."""
    path = Path(shutil.copytree(searched.path, tmp_path_factory.mktemp("ensemble") / "tiny"))
    shutil.rmtree(path / "retrain", ignore_errors=True)
    found = RunFolder(path)
    options = RetrainOptions(rank=rank_of(found, FROZEN), folds=2, final=True, epochs=2, label="both")
    train(plans(found, options))
    return found


def test_an_ensemble_predicts_the_mean_probability_of_its_members(trained: RunFolder, store: SliceStore):
    whole = TrainedModel.open(trained.path / "retrain" / "both")
    members = [TrainedModel.open(trained.path / "retrain" / "both" / name) for name in ("fold0", "fold1")]
    rows = store.test[:3]
    mean = np.mean([expit(each.logits(store.hu, rows).astype(float)) for each in members], axis=0)
    np.testing.assert_allclose(whole.logits(store.hu, rows), logit(mean), rtol=1e-5)


def test_out_of_fold_predictions_are_those_of_the_model_that_was_validated_there(
    trained: RunFolder, store: SliceStore
):
    kept = np.load(trained.path / "retrain" / "both" / "out_of_fold.npz")
    assert sorted(kept["rows"]) == sorted(
        store.train[np.isin(store.table["fold"].to_numpy()[store.train], [0, 1])]
    )
    for fold in (0, 1):
        model = TrainedModel.open(trained.path / "retrain" / "both" / f"fold{fold}")
        here = kept["folds"] == fold
        np.testing.assert_allclose(
            kept["logits"][here], model.logits(store.hu, kept["rows"][here]), rtol=1e-4, atol=1e-5
        )


def test_the_validation_score_is_the_mean_over_the_folds(trained: RunFolder, store: SliceStore):
    [model, _], _ = retrained_models(trained)
    kept = np.load(model.folder / "out_of_fold.npz")
    by_fold = []
    for fold in (0, 1):
        here = kept["folds"] == fold
        truth, logits = store.labels[kept["rows"][here], 5], kept["logits"][here, 5]
        by_fold.append(roc_auc_score(truth, logits))
    assert model.metrics["models"]["retrained"]["validation"]["auc_any"] == pytest.approx(np.mean(by_fold))
    paired = {(row["part"], row["metric"]): row["after"] for row in model.metrics["paired"]}
    scores = model.metrics["models"]["retrained"]["validation"]
    assert paired["validation", "auc"] == pytest.approx(scores["auc"], abs=1e-3)  # in half precision
    assert paired["validation", "hamming_score"] == pytest.approx(scores["hamming_score"])


def test_the_final_model_has_seen_all_folds_for_the_epochs_that_they_found_best(
    trained: RunFolder, store: SliceStore
):
    [both, final], _ = retrained_models(trained)
    best = sorted(of["best_epoch"] for of in both.metrics["trainings"].values())
    assert final.about.origin.fold is None
    assert final.about.origin.epoch == best[1]
    assert len(final.metrics["history"]["retrained"]) == best[1]
    assert final.about.thresholds == both.about.thresholds
    assert final.metrics["models"]["retrained"]["test"] != both.metrics["models"]["retrained"]["test"]
    assert (
        final.metrics["models"]["retrained"]["validation"]
        == both.metrics["models"]["retrained"]["validation"]
    )


def test_the_reports_command_repeats_an_ensemble(trained: RunFolder):
    [both, _], _ = retrained_models(trained)
    command = retrain_command(trained, both)
    assert "--folds 2" in command
    assert "--fold " not in command
    assert "2 models that predict together" in both.sentence


def test_a_seed_is_a_training_of_its_own(searched: RunFolder):
    planned = plan(searched, RetrainOptions(rank=rank_of(searched, FROZEN), folds=2, seeds=2))
    seen = [(member.name, member.fold.index, member.recipe.training.seed) for member in planned.members]
    assert seen == [
        ("fold0-seed0", 0, 0),
        ("fold0-seed1", 0, 1),
        ("fold1-seed0", 1, 0),
        ("fold1-seed1", 1, 1),
    ]
    assert planned.label.endswith("-all-2-folds-2-seeds")


def test_a_trial_is_chosen_by_its_name(searched: RunFolder):
    by_rank = plan(searched, RetrainOptions(rank=2))
    assert plan(searched, RetrainOptions(trial=by_rank.trial)).trial == by_rank.trial


def test_an_ensemble_without_a_member_says_so(trained: RunFolder, tmp_path: Path):
    folder = Path(shutil.copytree(trained.path / "retrain" / "both", tmp_path / "both"))
    shutil.rmtree(folder / "fold1")
    with pytest.raises(ModelError, match="fold1: no model here"):
        TrainedModel.open(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 4}, "--folds: the search has 3 folds; must be at most that, got 4"),
        ({"folds": 2, "fold": 1}, "--folds: trains a model for each fold, and --fold for a single one"),
        ({"final": True}, "--final: trains for the epochs that several folds found best; add e.g. --folds 5"),
        ({"top": 2, "label": "x"}, "--label: names a single model"),
        ({"top": 4}, "--top: .* has 3 ranked trials, so choose at most 3, got 4"),
        ({"rank": 9}, "--rank: .* has 3 ranked trials, so choose 1 to 3, got 9"),
        (
            {"folds": 2, "final": True, "changes": {"schedule.name": "plateau"}},
            "--final: the schedule plateau follows the validation loss",
        ),
        (
            {"folds": 2, "final": True, "changes": {"schedule": {"name": "cosine", "drop": 0.5}}},
            "--final: the schedule cosine follows the validation loss",
        ),
        ({"trial": "nobody"}, "--trial: 'nobody' is no ranked trial; `ichtune rank .*` lists all 3"),
        ({"trial": "0000", "rank": 2}, "--trial: chooses the recipe, and so does --rank; leave out one"),
    ],
)
def test_options_that_can_not_be_are_refused_before_any_work(
    searched: RunFolder, options: dict, message: str
):
    with pytest.raises(InputError, match=message):
        plans(searched, RetrainOptions(**options))


def test_a_kill_loses_no_finished_epoch_of_any_training(run: RunFolder):
    shutil.rmtree(run.path / "retrain", ignore_errors=True)
    work = run.path / "retrain" / ".killed.partial"
    command = [
        sys.executable,
        "-m",
        "ichtune.cli",
        "retrain",
        str(run.path),
        "--rank",
        str(rank_of(run, FROZEN)),
    ]
    command += ["--folds", "2", "--epochs", "40", "--label", "killed"]
    first = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not all((work / f"fold{fold}.pt").is_file() for fold in (0, 1)):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    again = subprocess.run(
        [*command[:-3], "4", "--label", "killed"], capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 2
    assert "training.epochs was 40, now 4" in again.stderr
    whole = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert whole.returncode == 0, whole.stderr
    assert TrainedModel.open(run.path / "retrain" / "killed").about.members == ("fold0", "fold1")
