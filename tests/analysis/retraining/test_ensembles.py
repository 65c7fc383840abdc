"""Several trainings of a recipe are kept as one model; each slice is scored by one that has not seen its head."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from analysis.report.repeat import retrain_command
from analysis.report.retrained import retrained_models
from analysis.retraining.options import RetrainOptions
from analysis.retraining.out_of_fold import epochs_by_other_folds, logits_of_folds
from analysis.retraining.planning import plan, plans
from analysis.retraining.resumable import ResumableTraining
from analysis.retraining.train import train
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.about import ModelError
from ichtune.inference.trained_model import TrainedModel
from ichtune.json_text import read_json
from ichtune.runs.ends import TrialEnd
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


def test_out_of_fold_predictions_are_those_at_the_epoch_that_the_other_fold_finds_best(
    trained: RunFolder, store: SliceStore
):
    kept = np.load(trained.path / "retrain" / "both" / "out_of_fold.npz")
    assert sorted(kept["rows"]) == sorted(
        store.train[np.isin(store.table["fold"].to_numpy()[store.train], [0, 1])]
    )
    told = read_json(trained.path / "retrain" / "both" / "metrics.json")
    best = [told["trainings"][f"fold{fold}"]["best_epoch"] for fold in (0, 1)]
    assert told["scored_epochs"] == best[::-1]
    for fold in (0, 1):
        model = TrainedModel.open(trained.path / "retrain" / "both" / f"fold{fold}")
        here = kept["folds"] == fold
        own = np.abs(kept["logits"][here] - model.logits(store.hu, kept["rows"][here])).max()
        # The written model runs with its batch normalisation folded in.
        assert (own < 1e-3) == (best[0] == best[1])


def ended(scores: Sequence[Sequence[float | None]], ended: TrialEnd = TrialEnd.LAST_EPOCH) -> list[Any]:
    """Trainings that ended with these AUCs after each epoch, and logits that name fold and epoch."""
    trainings = []
    for fold, values in enumerate(scores):
        training = ResumableTraining(Path("none.pt"), {}, metric="auc", epochs=9, patience=None)
        training.session.ended = ended
        training.history = [{"validation": {"auc": value}} for value in values]
        training.logits = [torch.full((2, 6), 10.0 * fold + epoch) for epoch in range(1, len(values) + 1)]
        trainings.append(training)
    return trainings


def test_no_fold_chooses_the_epoch_that_scores_it():
    # The means of the other two folds: 0.6, 0.5; 0.55, 0.7; 0.75, 0.6.
    trainings = ended([[0.7, 0.8], [0.8, 0.4], [0.4, 0.6]])
    assert epochs_by_other_folds(trainings, "auc") == [1, 2, 1]
    logits, epochs = logits_of_folds(trainings, 1, "auc")
    assert epochs == [1, 2, 1]
    assert [of[0, 0, 0] for of in logits] == [1, 12, 21]


def test_an_epoch_that_a_fold_did_not_finish_scores_none():
    assert epochs_by_other_folds(ended([[0.5, 0.6, 0.9], [0.5, 0.7]]), "auc") == [2, 2]
    assert epochs_by_other_folds(ended([[0.5, 0.6], [0.5, None]], TrialEnd.DIVERGED), "auc") == [1, 1]


def test_a_fold_alone_is_scored_at_its_own_best_epoch():
    assert epochs_by_other_folds(ended([[0.5, 0.9, 0.6]]), "auc") == [2]


def test_seeds_are_cross_validations_of_their_own():
    # Two folds of two seeds: fold 0 seed 0, fold 0 seed 1, fold 1 seed 0, fold 1 seed 1.
    trainings = ended([[0.5, 0.6], [0.6, 0.5], [0.7, 0.6], [0.5, 0.6]])
    logits, epochs = logits_of_folds(trainings, 2, "auc")
    assert epochs == [1, 2, 2, 1]
    assert [of[:, 0, 0].tolist() for of in logits] == [[1, 12], [22, 31]]


def test_the_frozen_model_is_scored_at_the_epochs_that_the_ranking_goes_by(searched: RunFolder):
    planned = plan(searched, RetrainOptions(rank=rank_of(searched, FROZEN), folds=3, label="three"))
    predicted = planned.searched.predicted(torch.device("cpu"), lambda *_: None)
    found = planned.searched.scores(predicted, None).parts["validation"]
    assert found["weighted_log_loss"] == pytest.approx(planned.searched.trial.score, abs=1e-3)


def test_the_validation_score_is_the_mean_over_the_folds(trained: RunFolder, store: SliceStore):
    [model, *_], _ = retrained_models(trained)
    kept = np.load(model.folder / "out_of_fold.npz")
    by_fold = []
    for fold in (0, 1):
        here = kept["folds"] == fold
        truth, logits = store.labels[kept["rows"][here], 5], kept["logits"][here, 5]
        by_fold.append(roc_auc_score(truth, logits))
    assert model.metrics["models"]["retrained"]["validation"]["auc_any"] == pytest.approx(np.mean(by_fold))
    paired = {(row["part"], row["metric"]): row["after"] for row in model.metrics["paired"]}
    scores = model.metrics["models"]["retrained"]["validation"]
    # From logits in half precision, in which two slices may change places.
    assert paired["validation", "auc"] == pytest.approx(scores["auc"], abs=0.01)
    assert paired["validation", "hamming_score"] == pytest.approx(scores["hamming_score"])


def test_the_final_model_has_seen_all_folds_for_the_epochs_that_they_found_best(
    trained: RunFolder, store: SliceStore
):
    [both, final, *_], _ = retrained_models(trained)
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
    [both, *_], _ = retrained_models(trained)
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
        ({"workers": 100_000}, "--workers: there are .* to run on, so use at most that, got 100000"),
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
