import errno
import pickle
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ichtune.cross_validation import CrossValidation
from ichtune.runs.folder import RunFolder
from ichtune.runs.records import TrialRecord
from ichtune.runs.trial_folder import TrialFolder
from ichtune.search.trial import TrialJob, trial_folder_name
from ichtune.training.experiment import folds_of, open_store
from tests.made_up.searches import begin_trial, run_trial

PARAMS = {"model.dropout": 0.2, "optimizer": "adam", "optimizer.adam.lr": 0.003, "augmentation": "moderate"}
CONFIG = {"number": 7, "params": PARAMS, "point": None}


@pytest.fixture
def record(small_job) -> TrialRecord:
    job, run = small_job
    run_trial(job, CONFIG)
    return next(run.trial_records())


def test_a_trial_reports_the_best_mean_over_folds_so_far(small_job):
    job, run = small_job
    results = run_trial(job, CONFIG)
    means = [epoch.mean["auc"] for epoch in next(run.trial_records()).epochs]
    assert [result["objective"] for result in results] == pytest.approx(list(np.maximum.accumulate(means)))
    assert [result["epoch"] for result in results] == [1, 2, 3]
    assert results[-1]["ended"] == "last epoch"


def test_a_trial_leaves_a_gpu_alone_that_it_has_no_share_of(small_job, monkeypatch):
    job, _ = small_job
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert job.device.type == "cpu"
    assert replace(job, on_gpu=True).device.type == "cuda"


def test_kept_predictions_are_of_the_epochs_that_the_other_folds_chose_and_of_no_test_slice(
    small_job, record
):
    job, _ = small_job
    store = open_store(job.experiment.store)
    logits = np.load(record.folder / "out_of_fold.npy").astype(float)
    assert np.isnan(logits[store.test]).all()
    values = np.array([epoch.folds["auc"] for epoch in record.epochs])
    others = np.stack([np.nanmean(np.delete(values, fold, 1), axis=1) for fold in range(3)], axis=1)
    chosen = others.argmax(axis=0)  # by fold, the epoch that the other two like best
    for number, fold in enumerate(folds_of(store, CrossValidation(3))):
        any_known = store.labels[fold.valid, 5]
        if 0 < any_known.mean() < 1:
            expected = roc_auc_score(any_known, logits[fold.valid, 5])
            assert record.epochs[chosen[number]].folds["auc_any"][number] == pytest.approx(
                expected, abs=0.06
            )  # float16 may tie two of nine


def test_the_kept_heads_are_one_a_fold(record):
    heads = load_file(record.folder / "best.safetensors")
    assert {name: head.shape for name, head in heads.items()} == {f"fold{k}": (513, 6) for k in range(3)}


def test_sha256sum_confirms_what_a_trial_kept(record):
    check = ["sha256sum", "--check", "--strict", "sha256sums"]
    told = subprocess.run(check, cwd=record.folder, capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == ["best.safetensors: OK", "out_of_fold.npy: OK"]


def test_a_trial_says_what_proves_that_its_knobs_acted(record):
    epoch = record.epochs[0]
    assert epoch.lr == [0.003] * 3
    assert epoch.trained_parameters == 513 * 6
    assert np.shape(epoch.class_mix) == (3, 6)
    assert min(epoch.grad_norm) > 0
    assert record.recipe.optimizer.lr == 0.003
    assert len(record.recipe_hash) == 12


def test_tensorboard_reads_the_curves_and_the_hyperparameters_back(record):
    board = EventAccumulator(str(record.folder)).Reload()
    values = [event.value for event in board.Scalars("valid/auc")]
    assert values == pytest.approx([epoch.mean["auc"] for epoch in record.epochs])
    assert "train/lr" in board.Tags()["scalars"]
    assert "_hparams_/session_start_info" in board.summary_metadata
    best, final, diverged = (
        board.Scalars(f"outcome/{name}")[0].value for name in ("best", "final", "diverged")
    )
    assert (best, final) == pytest.approx((max(values), values[-1]))
    assert diverged == 0


def test_a_trial_gives_the_same_numbers_whatever_was_trained_before(small_job):
    job, run = small_job
    trial = begin_trial(job, CONFIG)
    trial.step()
    other = {**CONFIG, "number": 8}
    trial.reset_config(other)
    trial.config = other
    reused = [trial.step()["objective"] for _ in range(3)]
    trial.cleanup()
    fresh = [result["objective"] for result in run_trial(job, {**CONFIG, "number": 9})]
    assert reused == fresh
    assert len(next(iter(RunFolder(run.path).trial_records())).epochs) == 1


def test_a_trial_trains_a_backbone_on_images_where_its_recipe_says_so(small_job, tmp_path):
    job, run = small_job
    space = job.space.changed({"model.train": "last", "training.epochs": 1})
    results = run_trial(TrialJob(job.experiment, space, job.run, threads=1), CONFIG)
    record = next(run.trial_records())
    assert np.isfinite(results[-1]["objective"])
    assert record.epochs[0].trained_parameters > 8_000_000  # layer4 of a resnet18 has 8.4 million


def test_an_interrupted_trial_resumes_to_the_same_numbers(small_job, monkeypatch):
    job, run = small_job
    whole = run_trial(job, CONFIG)
    monkeypatch.setattr("ichtune.search.trial.CHECKPOINT_EVERY_S", 0.0)
    broken = {**CONFIG, "number": 8}
    attempt = begin_trial(job, broken)
    assert [attempt.step()["epoch"] for _ in range(2)] == [1, 2]
    again = run_trial(job, broken)
    # Its first two results may have been lost with its machine, so they come again with the third.
    assert again == [whole[2] | {"earlier": [result["objective"] for result in whole[:2]]}]
    first, second = ([epoch.mean for epoch in record.epochs] for record in run.trial_records())
    assert first == second
    assert not list(run.trials.glob("*/checkpoint.pt"))


def test_a_diverging_trial_reports_a_finite_objective_and_ends(small_job):
    job, run = small_job
    space = job.space.changed({"optimizer": {"name": "sgd", "lr": 1e38}})
    params = {name: value for name, value in PARAMS.items() if not name.startswith("optimizer")}
    results = run_trial(TrialJob(job.experiment, space, job.run, threads=1), {**CONFIG, "params": params})
    assert results[-1]["ended"] == "diverged"
    assert np.isfinite([result["objective"] for result in results]).all()
    assert "NaN" not in (next(run.trial_folders()).path / "epochs.jsonl").read_text()


def test_names_of_folders_are_of_characters_that_every_file_system_takes():
    params = {"loss": "bce pos_weight=balanced", "augmentation": "../../etc/passwd", "lr": 0.1}
    assert (
        trial_folder_name({"number": 3, "params": params, "point": None})
        == "0003-bce-pos-weight=balanced-..-..-etc-passwd"
    )


class Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(
    "save", [torch.save, lambda planted, file: file.write_bytes(pickle.dumps(planted, protocol=2))]
)
def test_code_in_a_foreign_checkpoint_is_not_run_and_the_trial_starts_over(small_job, tmp_path, save):
    job, run = small_job
    folder = run.trial(trial_folder_name(CONFIG))
    folder.path.mkdir()
    save(Planted(tmp_path / "ran"), folder.path / "checkpoint.pt")
    assert [result["epoch"] for result in run_trial(job, CONFIG)] == [1, 2, 3]
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_interrupts_a_trial_and_does_not_fail_it(small_job, monkeypatch):
    job, _ = small_job

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TrialFolder, "add_epoch", full)
    (result,) = run_trial(job, CONFIG)
    assert result["ended"] == "interrupted"
    assert "No space left" in result["disk_full"]
