"""The best recipe of a search is trained again with its backbone, and stands beside the search's own model."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import hamming_loss, log_loss, recall_score, roc_auc_score

from analysis.results import RankedResults
from analysis.retraining.options import RetrainOptions
from analysis.retraining.planning import plan
from analysis.retraining.train import Retrained, retrain
from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.trained_model import TrainedModel
from ichtune.models.backbones import build_backbone
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.space import Space
from tests.made_up.dicom import head, long_table, write_dicom
from tests.made_up.searches import search_without_ray

pytestmark = pytest.mark.timeout(60)

SPACE = Space.parse(
    {
        "metric": "weighted_log_loss",
        "model": {"weights": "random", "size": 32, "train": {"choice": ["frozen", "last"]}},
        "optimizer": {"name": "sgd", "lr": {"choice": [0.01, 0.1]}, "momentum": 0.0},
        "augmentation": "moderate",
        "training": {"epochs": 3, "batch_size": 8},
    },
    "tiny",
)
FROZEN = {"model.train": "frozen", "optimizer.lr": 0.01}
LAST = {"model.train": "last", "optimizer.lr": 0.01}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SliceStore:
    """Thirty slices of ten patients, every other one with a hemorrhage."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "rsna" / "stage_2_train").mkdir(parents=True)
    labels = {}
    for number in range(30):
        patient, slice_id = number // 3, f"ID_{number:09d}"
        stored = head((32, 32), number)
        stored[16:, 16:] += 35 * (patient % 2)
        tags = {"PatientID": f"P{patient}", "StudyInstanceUID": f"S{patient}"}
        place = [0, 0, 5 * number]
        file = folder / "rsna" / "stage_2_train" / f"{slice_id}.dcm"
        write_dicom(file, stored, ImagePositionPatient=place, **tags)
        labels[slice_id] = tuple(int(patient % 2 and kind in (patient // 2, 5)) for kind in range(6))
    long_table(labels).to_csv(folder / "rsna" / "stage_2_train.csv", index=False)
    return prepare(folder / "rsna", folder / "store", PrepareOptions(size=32, folds=3, workers=1)).store


@pytest.fixture(scope="module")
def searched(store: SliceStore, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of three trials, as a search leaves it."""
    settings = SearchSettings(runs=tmp_path_factory.mktemp("runs"), name="tiny", folds=3, views=2)
    recipes = (FROZEN, {**FROZEN, "optimizer.lr": 0.1}, LAST)
    return search_without_ray(store, SPACE, settings, [(params, None) for params in recipes])


@pytest.fixture
def run(searched: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the run for one test alone."""
    return RunFolder(Path(shutil.copytree(searched.path, tmp_path / "tiny")))


@pytest.fixture(scope="module")
def made(searched: RunFolder) -> Retrained:
    return retrain(searched, RetrainOptions(rank=rank_of(searched, FROZEN), epochs=2, label="made"))


def rank_of(run: RunFolder, params: dict) -> int:
    ranked = [trial.record.params for trial in RankedResults.of(run).trials]
    return ranked.index(params) + 1


def metrics(made: Retrained) -> dict:
    return json.loads((made.folder / "metrics.json").read_text())


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_the_frozen_model_scores_as_the_search_recorded_it(searched: RunFolder, fold: int):
    model = plan(searched, RetrainOptions(rank=rank_of(searched, FROZEN), fold=fold)).searched
    epochs = [
        json.loads(line) for line in (model.trial.record.folder / "epochs.jsonl").read_text().splitlines()
    ]
    best = min(epochs, key=lambda epoch: epoch["mean"]["weighted_log_loss"])
    recorded = {
        name: np.nan if values[fold] is None else values[fold]
        for name, values in best["folds"].items()
        if name != "train_loss"
    }
    predicted = model.predicted(torch.device("cpu"), lambda *_: None)
    found = model.scores(predicted, None).parts["validation"]
    assert found == pytest.approx(recorded, rel=1e-6, nan_ok=True)


def test_the_written_model_is_the_one_in_the_table(made: Retrained, store: SliceStore):
    probs = TrainedModel.open(made.folder).predict(store.hu, store.test)
    expected = roc_auc_score(store.labels[store.test, 5], probs[:, 5])
    assert made.scores["retrained"].parts["test"]["auc_any"] == pytest.approx(expected)


def test_the_best_epochs_weights_are_kept(made: Retrained):
    told = metrics(made)
    losses = [epoch["validation"]["weighted_log_loss"] for epoch in told["history"]["retrained"]]
    assert told["trainings"]["fold0"]["best_epoch"] == 1 + int(np.argmin(losses))
    # The written model runs with its batch normalisation folded in.
    written = made.comparison["validation_weighted_log_loss"].iloc[1]
    assert written == pytest.approx(min(losses), abs=1e-4)


def test_the_table_has_both_models_both_parts_and_prevalence(made: Retrained, store: SliceStore):
    frozen, retrained, tuned = made.comparison.to_dict("records")
    assert [row["model"] for row in (frozen, retrained, tuned)] == ["frozen", "retrained", "tuned"]
    assert frozen["trained_parameters"] == 513 * 6
    # torchvision's resnet18 has 11,689,512 parameters with its 1,000 classes.
    assert retrained["trained_parameters"] == 11_689_512 - 513 * 1000 + 513 * 6
    assert frozen["test_prevalence_any"] == store.labels[store.test, 5].mean()
    assert made.comparison[:2].filter(regex="auc|f1|loss").notna().all(axis=None)
    assert tuned["test_f1"] >= 0


def test_no_skill_stands_beside_the_models(made: Retrained, store: SliceStore):
    never = made.no_skill.set_index("model").loc["always negative"]
    assert never["test_subset_accuracy"] == (store.labels[store.test].sum(axis=1) == 0).mean()
    assert never["validation_auc"] == 0.5


def test_the_table_lies_in_the_models_folder(made: Retrained):
    assert (made.folder / "comparison.md").read_text().count("| retrained |") == 1
    assert {file.name for file in made.folder.iterdir()} >= {
        "weights.safetensors",
        "model.yaml",
        "metrics.json",
    }
    assert not list(made.folder.parent.glob(".made.*"))


def test_labels_of_few_patients_are_not_tuned_and_the_model_says_so(made: Retrained):
    about = TrainedModel.open(made.folder).about
    assert about.calibration.method == "platt"
    assert set(about.calibration.slopes.values()) == {1.0}
    assert set(about.thresholds.values()) == {0.5}
    assert "slightly optimistic, as the best epoch was chosen on them" in about.thresholds_chosen
    assert "kept 0.5 (fewer than 5 patients with or without it)" in about.thresholds_chosen


def test_a_tuned_model_decides_by_its_own_thresholds(
    run: RunFolder, store: SliceStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("analysis.calibration.out_of_fold.FEWEST", 1)
    options = RetrainOptions(rank=rank_of(run, FROZEN), epochs=1, sensitivity=0.9)
    made = retrain(run, options)
    model = TrainedModel.open(made.folder)
    assert (model.about.thresholds_by, model.about.sensitivity) == ("sensitivity", 0.9)
    assert model.about.thresholds["any"] not in (0.5, 0)

    probs, truth = model.predict(store.hu, store.test), store.labels[store.test]
    called = probs >= model.thresholds
    tuned = made.scores["tuned"].parts["test"]
    assert tuned["hamming_score"] == pytest.approx(1 - hamming_loss(truth, called))
    assert tuned["weighted_log_loss"] == pytest.approx(
        np.mean([log_loss(truth[:, i], probs[:, i], labels=[0, 1]) for i in (0, 1, 2, 3, 4, 5, 5)])
    )
    assert any(f"any {model.about.thresholds['any']:.4g}, in validation" in note for note in made.notes)
    rows = [row for row in metrics(made)["thresholds"] if (row["part"], row["label"]) == ("test", "any")]
    assert rows[1]["sensitivity"] == pytest.approx(recall_score(truth[:, 5], called[:, 5]))


def test_calibration_and_thresholds_are_tables_in_the_models_folder(made: Retrained):
    for name in ("calibration", "thresholds"):
        text = (made.folder / f"{name}.md").read_text()
        assert "| validation | any |" in text
        assert "| test | any |" in text
        assert "slightly optimistic" in text


def test_the_cards_snippet_loads_the_model_and_predicts(
    made: Retrained, store: SliceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    card = (made.folder / "MODEL.md").read_text()
    snippet = card.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(made.folder.parents[3])
    known = {"hu": store.hu[store.test]}
    exec(snippet, known)
    assert known["present"].shape == (len(store.test), 6)
    expected = TrainedModel.open(made.folder).predict(store.hu, store.test)
    np.testing.assert_allclose(known["probabilities"], expected)


def test_the_card_has_what_the_run_knows_and_lists_what_it_cannot_know(made: Retrained, store: SliceStore):
    card = (made.folder / "MODEL.md").read_text()
    told = metrics(made)
    positive = store.labels[store.test, 5].sum()
    for shown in (
        "no medical device",
        "The search tiny tried 3 recipes",
        f"after epoch {told['trainings']['fold0']['best_epoch']}, the best by weighted log loss",
        "corrected for selecting the best of 3",
        f"`{store.fingerprint}`",
        f"{len(store.test)} slices of {len(set(store.patients[store.test]))} patients",
        f"| {positive:.0f} in ",
        "optimizer.lr: 0.01 -> 0.001",
        "kept 0.5 (fewer than 5 patients with or without it)",
        "- [ ] **17** Ethical approval and informed consent",
    ):
        assert shown in card, shown


def test_unfreezing_changes_nothing_that_is_not_named(searched: RunFolder):
    planned = plan(searched, RetrainOptions(rank=rank_of(searched, FROZEN)))
    best = planned.searched.trial.best_epoch.epoch
    assert [str(change) for change in planned.differences] == [
        "model.train frozen -> all",
        "optimizer.lr 0.01 -> 0.001",
        f"head starts as random -> the search's for fold 0 after epoch {best}",
        "augmented views of a slice 2 -> 3",
        "best epoch by the mean over 3 folds -> fold 0",
    ]


def test_what_is_asked_for_is_a_named_difference(searched: RunFolder):
    options = RetrainOptions(
        rank=rank_of(searched, FROZEN),
        train="last",
        head="fresh",
        lr=0.02,
        epochs=2,
        patience=1,
        size=48,
        batch_size=4,
        changes={"loss": {"name": "focal"}, "metric": "auc"},
    )
    planned = plan(searched, options)
    found = {change.what: change.change for change in planned.differences}
    assert found == {
        "model.train": "frozen -> last",
        "model.size": "32 -> 48",
        "loss.name": "bce -> focal",
        "loss.smoothing": "0 -> none",
        "loss.gamma": "none -> 2",
        "loss.alpha": "none -> 0.25",
        "optimizer.lr": "0.01 -> 0.02",
        "training.epochs": "3 -> 2",
        "training.patience": "none -> 1",
        "training.batch_size": "8 -> 4",
        "metric": "weighted_log_loss -> auc",
        "best epoch by": "the mean over 3 folds -> fold 0",
    }
    assert planned.folder.name.endswith("-last")


def test_a_warm_head_starts_as_the_search_left_it(searched: RunFolder):
    rank = rank_of(searched, FROZEN)
    warm = plan(searched, RetrainOptions(rank=rank, fold=1))
    kept = load_file(warm.searched.trial.record.folder / "best.safetensors")["fold1"]
    assert torch.equal(warm.members[0].network().heads.weights[0], kept)
    fresh = plan(searched, RetrainOptions(rank=rank, fold=1, head="fresh"))
    assert not torch.equal(fresh.members[0].network().heads.weights[0], kept)


def test_training_the_last_stage_leaves_the_others_as_they_were(run: RunFolder):
    made = retrain(run, RetrainOptions(rank=rank_of(run, FROZEN), train="last", epochs=1))
    model = TrainedModel.open(made.folder)
    before = build_backbone(model.about.recipe.model, seed=0).state_dict()
    after = model.networks[0].backbone.state_dict()
    changed = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"layer4"}


def test_an_interrupted_retraining_goes_on_to_the_same_model(run: RunFolder, made: Retrained):
    options = RetrainOptions(rank=rank_of(run, FROZEN), epochs=2, label="made")

    def interrupt(done: int, total: int, remark: str) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    shutil.rmtree(run.path / "retrain", ignore_errors=True)
    with pytest.raises(KeyboardInterrupt):
        retrain(run, options, interrupt)
    assert not (run.path / "retrain" / "made").exists()
    began = []
    resumed = retrain(run, options, lambda done, total, remark: began.append(done / total))

    assert min(began) > 0.5
    weights = "weights.safetensors"
    assert (resumed.folder / weights).read_bytes() == (made.folder / weights).read_bytes()
    assert len(metrics(resumed)["history"]["retrained"]) == 2


def test_a_failure_after_the_last_epoch_costs_no_epoch(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    options = RetrainOptions(rank=rank_of(run, FROZEN), epochs=1)
    with monkeypatch.context() as patch:
        patch.delattr("analysis.retraining.describe.write_table")
        with pytest.raises(NameError):
            retrain(run, options)
    trained = []
    assert retrain(run, options, lambda *done: trained.append(done)).folder.is_dir()
    assert not trained


def test_a_training_with_other_settings_that_broke_off_is_not_gone_on_with(run: RunFolder):
    rank = rank_of(run, FROZEN)

    def interrupt(done: int, total: int, remark: str) -> None:
        if remark:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrain(run, RetrainOptions(rank=rank, label="again"), interrupt)
    with pytest.raises(
        InputError, match=r"unfinished training with other settings \(optimizer\.lr was 0\.001, now 0\.5\)"
    ):
        retrain(run, RetrainOptions(rank=rank, label="again", lr=0.5))


def test_a_recipe_searched_unfrozen_has_its_record_and_no_test_values(run: RunFolder):
    made = retrain(run, RetrainOptions(rank=rank_of(run, LAST), train="last", epochs=1))
    searched, retrained, _ = made.comparison.to_dict("records")
    assert searched["model"] == "searched"
    assert searched["validation_loss"] > 0
    assert np.isnan(searched["test_loss"])
    assert retrained["test_loss"] > 0
    assert "optimizer.lr" not in {change.what for change in made.differences}
    assert any("kept only the heads" in note for note in made.notes)


def test_a_model_that_became_worse_says_so(run: RunFolder):
    made = retrain(run, RetrainOptions(rank=rank_of(run, FROZEN), lr=1.0, epochs=1))
    before, after, _ = made.comparison["validation_weighted_log_loss"]
    assert after > before
    assert any("worse than the frozen one in validation" in note for note in made.notes)


def test_a_training_that_diverges_at_once_says_so(run: RunFolder):
    with pytest.raises(InputError, match=r"diverged in epoch 1.*a lower --lr than 1e30"):
        retrain(run, RetrainOptions(rank=rank_of(run, FROZEN), lr=1e30, epochs=1))


def test_a_model_is_not_overwritten(made: Retrained, searched: RunFolder):
    with pytest.raises(InputError, match="already a model with this label; choose another --label"):
        plan(searched, RetrainOptions(label="made"))


def test_of_two_processes_that_retrain_one_model_one_is_refused(run: RunFolder, ichtune):
    model, work = run.path / "retrain" / "both", run.path / "retrain" / ".both.partial"
    command = ["retrain", str(run.path), "--label", "both"]
    with subprocess.Popen([sys.executable, "-m", "ichtune.cli", *command]) as first:
        while not (work / "fold0.pt").exists():
            assert first.poll() is None
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)
        try:
            code, _, errors = ichtune(*command)
        finally:
            first.send_signal(signal.SIGCONT)
    assert code == 2
    assert errors == f"error: {model}: another process is training this model now; choose another --label\n"
    assert first.returncode == 0
    assert TrainedModel.open(model)
    assert not work.exists()


def test_another_store_than_the_searchs_is_refused(run: RunFolder, store: SliceStore):
    run.write(replace(run.request, fingerprint="feedfeedfeedfeed"))
    with pytest.raises(InputError, match=rf"fingerprint is {store.fingerprint}, .* feedfeedfeedfeed"):
        plan(run)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (RetrainOptions(rank=4), "--rank: .* has 3 ranked trials, so choose 1 to 3, got 4"),
        (RetrainOptions(fold=3), "--fold: the search has folds 0 to 2, got 3"),
        (RetrainOptions(label="../x"), "--label: '../x' must be a plain folder name"),
        (RetrainOptions(sensitivity=95), "--sensitivity: must be above 0 and at most 1, got 95"),
        (RetrainOptions(thresholds="f1", sensitivity=0.9), "so does --thresholds f1; leave out one"),
        (RetrainOptions(lr=-1.0), "optimizer.lr: must be above 0, got -1"),
        (RetrainOptions(changes={"loss.nam": "bce"}), "unknown key 'nam' in loss; did you mean 'name'"),
        (RetrainOptions(changes={"model.dropout": {"uniform": [0, 0.5]}}), "give a single value"),
        (RetrainOptions(changes={"model.backbone": "resnet34"}), "use --head fresh"),
    ],
)
def test_what_cannot_be_done_is_refused(searched: RunFolder, options: RetrainOptions, message: str):
    with pytest.raises(InputError, match=message):
        plan(searched, options)
