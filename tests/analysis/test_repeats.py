"""A small real search by repeated cross-validation, and all that is made of its kept predictions."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from analysis.findings import Findings
from analysis.ranking.seeds import rerun
from analysis.report.build import write_report
from analysis.report.repeat import search_command
from analysis.results import RankedResults
from analysis.retraining.options import RetrainOptions
from analysis.retraining.planning import plan as plan_retraining
from analysis.test_set.score import score_on_test
from ichtune.commands.search_flow import print_plan
from ichtune.cross_validation import CrossValidation
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.search.resume import resume
from ichtune.space import Space
from ichtune.training.experiment import folds_of
from ichtune.yaml_text import read_yaml, write_yaml
from tests.made_up.searches import search_without_ray
from tests.made_up.spaces import SMALL

SPACE = Space.parse(SMALL, "small")
RECIPES = [
    ({"model.dropout": 0.0, "optimizer": "adam", "optimizer.adam.lr": lr, "augmentation": "normal"}, None)
    for lr in (0.0003, 0.003)
]
FOLDS, REPEATS = 3, 2


@pytest.fixture(scope="module")
def searched(prepared: SliceStore, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Two recipes on two partitions of ten patients into three folds; nobody writes into it."""
    folder = tmp_path_factory.mktemp("repeats")
    store = SliceStore.open(shutil.copytree(prepared.path, folder / "store"))
    settings = SearchSettings(
        trials=2, name="twice", runs=folder / "runs", folds=FOLDS, views=1, repeats_cv=REPEATS
    )
    return search_without_ray(store, SPACE, settings, RECIPES)


@pytest.fixture
def run(searched: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of it for one test alone."""
    return RunFolder.open(shutil.copytree(searched.path, tmp_path / searched.name))


@pytest.fixture
def results(run: RunFolder) -> RankedResults:
    return RankedResults.of(run)


def mean_area(results: RankedResults, predictions: np.ndarray) -> float:
    """The AUC's mean over the labels that a fold defines, and over the folds of both partitions."""
    areas = []
    for fold in folds_of(results.store, CrossValidation(FOLDS, REPEATS)):
        labels, logits = results.store.labels[fold.valid], predictions[fold.partition, fold.valid]
        both = [column for column in range(6) if 0 < labels[:, column].mean() < 1]
        if both:
            areas.append(np.mean([roc_auc_score(labels[:, column], logits[:, column]) for column in both]))
    return float(np.mean(areas))


def test_each_partition_keeps_a_prediction_of_every_training_slice(results):
    logits = results.best.logits
    assert logits.shape == (REPEATS, len(results.store), 6)
    assert np.isfinite(logits[:, results.store.train].astype(float)).all()
    assert np.isnan(logits[:, results.store.test].astype(float)).all()


def test_a_score_is_scikit_learns_mean_over_the_folds_of_all_partitions(results):
    for trial in results.trials:
        # Half precision may tie two of the nine slices of a fold.
        assert trial.score == pytest.approx(mean_area(results, trial.logits.astype(float)), abs=0.02)


def test_a_head_is_kept_for_each_fold_of_each_partition(results):
    heads = load_file(results.best.record.folder / "best.safetensors")
    assert sorted(heads) == [f"fold{k}" for k in range(FOLDS * REPEATS)]


def test_one_prediction_per_slice_is_the_mean_probability_over_the_partitions(results):
    train, logits = results.store.train, results.best.logits.astype(float)
    np.testing.assert_allclose(
        expit(results.best.mean_logits[train]), expit(logits[:, train]).mean(axis=0), atol=1e-6
    )


def test_every_table_and_picture_and_the_report_are_written(run):
    findings = Findings(RankedResults.of(run))
    page = write_report(findings, findings.write()).read_text()
    assert "the mean over 2 x 3 folds (2 partitions of the patients)" in page
    assert "--repeats-cv 2" in page
    ranked = (run.results / "ranked.md").read_text()
    assert "mean over 2 x 3 patient-grouped folds" in ranked
    assert {file.stem for file in (run.results / "pictures").glob("*.svg")} >= {"folds", "reliability"}
    assert "partition 2" in (run.results / "pictures" / "folds.svg").read_text()


def test_the_test_set_is_scored_by_the_models_of_all_partitions(results):
    score_on_test(results.held_out, [results.best])
    assert results.held_out.logits(results.best).shape == (len(results.store), 6)


def test_other_seeds_are_scored_on_the_same_partitions(results):
    assert len(rerun(results.ranking, top=1, seeds=1)) == 1
    planned = resume(results.run, {})
    assert planned.experiment.validation.partitions == REPEATS


def test_a_retraining_uses_a_fold_of_the_stores_own_partition(run):
    planned = plan_retraining(run, RetrainOptions(fold=2))
    assert (planned.folds[0].index, planned.folds[0].partition) == (2, 0)
    np.testing.assert_array_equal(planned.folds[0].valid, np.flatnonzero(planned.store.table["fold"] == 2))
    assert "best epoch by the mean over 2 x 3 folds" in "; ".join(map(str, planned.differences))
    with pytest.raises(InputError, match="the search has folds 0 to 2, got 3"):
        plan_retraining(run, RetrainOptions(fold=3))


def test_the_plan_and_the_command_that_repeats_the_search_name_the_partitions(run):
    console = Console(record=True, width=200)
    print_plan(resume(run, {}), console)
    assert "each on 2 x 3 folds" in console.export_text()
    assert "--repeats-cv 2" in search_command(run, "STORE", "small")


def test_resuming_with_another_number_of_partitions_is_refused(run):
    with pytest.raises(InputError, match="repeats_cv: 2 in the run, 4 requested"):
        resume(run, {"repeats_cv": 4})


def test_a_run_from_before_there_were_repeats_has_one_partition(run):
    about = read_yaml(run.path / "search.yaml")
    del about["settings"]["repeats_cv"]
    (run.path / "search.yaml").write_text(write_yaml(about))
    assert RunFolder.open(run.path).request.validation.partitions == 1


def test_searches_on_other_partitions_and_folds_are_compared_by_those_that_both_have(run, results, tmp_path):
    settings = SearchSettings(trials=2, name="less", runs=tmp_path, folds=2, views=1)
    less = search_without_ray(results.store, SPACE, settings, RECIPES)
    both = RankedResults.of(run, compare=less)
    folds = folds_of(results.store, CrossValidation(2))
    for trial in both.trials:
        logits, areas = trial.logits, []
        assert logits.shape == (len(results.store), 6)
        for fold in folds:
            labels, own = results.store.labels[fold.valid], logits[fold.valid]
            known = [column for column in range(6) if 0 < labels[:, column].mean() < 1]
            if known:
                areas.append(np.mean([roc_auc_score(labels[:, column], own[:, column]) for column in known]))
        assert trial.score == pytest.approx(np.mean(areas), abs=1e-3)
    assert both.certainty.measured == [0, 1, 2, 3]
    assert any(
        "the 2 folds that both runs have (twice has 2 x 3)" in note for note in both.ranked_table.notes
    )


def test_predictions_of_another_number_of_partitions_are_refused(run):
    best = RankedResults.of(run).best.record.folder
    np.save(best / "out_of_fold.npy", np.load(best / "out_of_fold.npy")[:1])
    (best / "sha256sums").unlink()
    with pytest.raises(InputError, match=re.escape("holds float16 (1, 30, 6)")):
        _ = RankedResults.of(run).best.logits


def test_repeats_of_trained_backbones_are_refused_if_they_take_much_memory(small_store, tmp_path):
    settings = SearchSettings(name="new", runs=tmp_path, repeats_cv=2)
    trained = SPACE.changed({"model.train": "last"})
    plan(small_store.path, trained, settings)
    # ResNet-18 has 11.2 million parameters without its classifier: times 16 bytes, 3 folds, 10 and 2 repeats, 10 GiB.
    with pytest.raises(
        InputError, match=r"--repeats 2 --repeats-cv 10: .*would hold 60 resnet18 .* about 10\.0 GiB"
    ):
        plan(small_store.path, trained, replace(settings, repeats_cv=10, repeats=2))


def test_repeats_of_heads_are_refused_only_if_they_take_much_memory(small_store, tmp_path):
    settings = SearchSettings(name="new", runs=tmp_path, repeats=1000, engine="torch")
    plan(small_store.path, SPACE, settings)
    scans = SPACE.changed({"head": {"name": "gru", "hidden": {"choice": [8, 64]}}})
    # A GRU of 64 units has 222,726 parameters: times 20 bytes, 3 folds and 1000 repeats, 12.4 GiB.
    with pytest.raises(
        InputError, match=r"--repeats 1000: a trial would hold 3,000 gru heads .* about 12\.\d GiB"
    ):
        plan(small_store.path, scans, settings)
