"""A small real search with several training seeds, and all that is made of its kept predictions."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from analysis.findings import Findings
from analysis.ranking.seeds import rerun
from analysis.report.build import write_report
from analysis.report.repeat import search_command
from analysis.results import RankedResults
from analysis.retraining.options import RetrainOptions
from analysis.retraining.planning import plan as plan_retraining
from analysis.screen import print_ranking
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
from tests.made_up.searches import search_without_ray
from tests.made_up.spaces import SMALL

SPACE = Space.parse(SMALL, "small")
RECIPES = [
    ({"model.dropout": 0.0, "optimizer": "adam", "optimizer.adam.lr": lr, "augmentation": "normal"}, None)
    for lr in (0.0003, 0.003)
]
FOLDS, SEEDS = 3, 2


def searched_with(seeds: int, store: SliceStore, folder: Path) -> RunFolder:
    settings = SearchSettings(
        trials=2, name=f"seeds{seeds}", runs=folder / "runs", folds=FOLDS, views=1, repeats=seeds
    )
    return search_without_ray(store, SPACE, settings, RECIPES)


@pytest.fixture(scope="module")
def both(prepared: SliceStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunFolder]:
    """The same two recipes with one seed and with two; nobody writes into the runs."""
    folder = tmp_path_factory.mktemp("seeds")
    store = SliceStore.open(shutil.copytree(prepared.path, folder / "store"))
    return searched_with(1, store, folder), searched_with(SEEDS, store, folder)


@pytest.fixture
def run(both: tuple[RunFolder, RunFolder], tmp_path: Path) -> RunFolder:
    """A copy of the run with two seeds for one test alone."""
    return RunFolder.open(shutil.copytree(both[1].path, tmp_path / both[1].name))


@pytest.fixture
def results(run: RunFolder) -> RankedResults:
    return RankedResults.of(run)


def mean_area(results: RankedResults, predictions: np.ndarray) -> float:
    """The AUC's mean over the labels that a fold defines, and over the folds of one round."""
    areas = []
    for fold in folds_of(results.store, CrossValidation(FOLDS)):
        labels, logits = results.store.labels[fold.valid], predictions[fold.valid]
        known = [column for column in range(6) if 0 < labels[:, column].mean() < 1]
        if known:
            areas.append(np.mean([roc_auc_score(labels[:, column], logits[:, column]) for column in known]))
    return float(np.mean(areas))


def test_a_recipe_is_one_row_with_the_mean_and_deviation_over_its_seeds(results):
    rows = results.table
    assert len(rows) == len(RECIPES)
    for trial, row in zip(results.trials, rows.to_dict("records"), strict=True):
        by_seed = [mean_area(results, logits.astype(float)) for logits in trial.logits]
        # Half precision may tie two of the nine slices of a fold.
        # The mean of means is that of all folds but for rounding.
        assert row["score"] == pytest.approx(row["seed_mean"], rel=1e-12)
        assert row["seed_mean"] == pytest.approx(np.mean(by_seed), abs=0.02)
        assert row["seeds"] == SEEDS
        assert row["seed_std"] == pytest.approx(abs(by_seed[0] - by_seed[1]) / np.sqrt(2), abs=0.02)


def test_the_first_seed_trains_what_a_search_with_one_seed_trains(both):
    one, two = ({trial.name: trial for trial in RankedResults.of(run).trials} for run in both)
    for name, trial in one.items():
        alone, beside = load_file(trial.record.folder / "best.safetensors"), two[name].record.folder
        assert sorted(alone) == [f"fold{k}" for k in range(FOLDS)]
        assert sorted(load_file(beside / "best.safetensors")) == [f"fold{k}" for k in range(FOLDS * SEEDS)]
        first = [epoch.folds["train_loss"][:FOLDS] for epoch in two[name].record.epochs]
        np.testing.assert_allclose(first, [epoch.folds["train_loss"] for epoch in trial.record.epochs], 1e-5)


def test_seeds_differ_in_training_but_not_in_their_patients(results):
    for epoch in results.best.record.epochs:
        losses = np.array(epoch.folds["train_loss"]).reshape(SEEDS, FOLDS)
        assert (losses[0] != losses[1]).all()
    known = np.isfinite(results.best.logits.astype(float)).all(axis=2)
    np.testing.assert_array_equal(known[0], known[1])


def test_the_noise_floor_is_that_of_a_mean_over_the_seeds_as_worked_by_hand(results):
    spread = results.table["seed_std"].to_numpy(float)
    # Student's t for one degree of freedom; a mean over two seeds has half the variance of one training.
    expected = 12.706205 * np.sqrt(2 * (spread**2).mean() / SEEDS)
    assert results.noise_floor == pytest.approx(expected)
    assert "two scores of one recipe, each the mean over 2 seeds, differ by up to" in "\n".join(
        results.ranked_table.notes
    )


def test_a_label_is_defined_in_as_many_folds_as_without_more_seeds(both):
    counts = [RankedResults.of(run).cohort.population["defined_folds"].tolist() for run in both]
    assert counts[0] == counts[1]


def test_every_table_and_picture_and_the_report_are_written(run):
    findings = Findings(RankedResults.of(run))
    page = write_report(findings, findings.write()).read_text()
    assert "the mean over 2 seeds x 3 folds (2 training seeds)" in page
    assert "--repeats 2" in page
    assert "mean over 2 seeds x 3 patient-grouped folds" in (run.results / "ranked.md").read_text()
    assert "seed 2" in (run.results / "pictures" / "folds.svg").read_text()


def test_the_screen_shows_the_deviation_over_seeds(results):
    console = Console(record=True, width=160)
    print_ranking(results.ranking, results.ranked_table, console)
    shown = console.export_text()
    assert "auc on 2 seeds x 3 folds" in shown
    assert "seeds ±" in shown


def test_tensorboard_shows_the_deviation_over_seeds_of_the_best_epoch(results):
    record = results.best.record
    board = EventAccumulator(str(record.folder)).Reload()
    by_seed = np.mean(np.reshape(record.best_epoch("auc").folds["auc"], (SEEDS, FOLDS)), axis=1)
    assert board.Scalars("outcome/seed_std")[0].value == pytest.approx(by_seed.std(ddof=1))


def test_reruns_with_other_seeds_are_refused_as_the_search_has_several(results, ichtune):
    with pytest.raises(InputError, match=r"trained each recipe with 2 seeds \(--repeats 2\)"):
        rerun(results.ranking, top=1, seeds=1)
    code, _, errors = ichtune("rank", results.run.path, "--seeds", 1)
    assert (code, len(errors.strip().splitlines())) == (2, 1)


def test_reruns_belong_to_the_trials_of_their_own_run_when_two_are_compared(both, tmp_path):
    one = RunFolder.open(shutil.copytree(both[0].path, tmp_path / "one"))
    other = RunFolder.open(shutil.copytree(both[0].path, tmp_path / "other"))
    name = RankedResults.of(one).best.name
    lines = [{"trial": name, "seed": seed, "mean": {"auc": 0.5 + seed / 10}} for seed in (1, 2)]
    (one.path / "seeds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = RankedResults.of(one, compare=other).table.dropna(subset="seeds")
    assert rows[["run", "trial"]].to_numpy().tolist() == [["one", name]]


def test_a_search_with_more_seeds_is_compared_by_those_that_both_have(both):
    alone, results = RankedResults.of(both[0]), RankedResults.of(*both[:1], compare=both[1])
    scores = {trial.run.name: trial.score for trial in results.trials if trial.record.number == 0}
    own = next(trial for trial in alone.trials if trial.record.number == 0)
    assert scores["seeds1"] == own.score
    # The first seed of a search with several trains what a search with one does, up to rounding.
    assert scores["seeds2"] == pytest.approx(own.score, abs=0.01)
    assert any(
        "the mean over the 3 folds that both runs have (seeds2 has 2 seeds x 3)" in note
        for note in results.ranked_table.notes
    )


def test_a_retraining_takes_the_heads_of_the_first_seed(run):
    planned = plan_retraining(run, RetrainOptions(fold=2))
    assert (planned.folds[0].index, planned.folds[0].round) == (2, 0)
    assert "best epoch by the mean over 2 seeds x 3 folds" in "; ".join(map(str, planned.differences))


def test_the_plan_and_the_command_that_repeats_the_search_name_the_seeds(run):
    console = Console(record=True, width=200)
    print_plan(resume(run, {}), console)
    assert "each on 2 seeds x 3 folds: up to 12 trainings" in console.export_text()
    assert "--repeats 2" in search_command(run, "STORE", "small")


def test_resuming_with_another_number_of_seeds_is_refused(run):
    with pytest.raises(InputError, match="repeats: 2 in the run, 3 requested"):
        resume(run, {"repeats": 3})


def test_no_seeds_at_all_are_refused(small_store, ichtune):
    code, _, errors = ichtune("search", "--data", small_store.path, "--repeats", 0, "--dry-run")
    assert code == 2
    assert "--repeats" in errors


def test_a_grid_that_is_cut_short_names_how_many_trials_try_all_of_it(small_store, tmp_path):
    grid = SPACE.changed({"model.dropout": {"choice": [0.0, 0.2, 0.4]}, "optimizer": {"name": "adam"}})
    settings = SearchSettings(name="grid", runs=tmp_path, sampler="grid", trials=4)
    console = Console(record=True, width=200)
    print_plan(plan(small_store.path, grid, settings), console)
    print_plan(plan(small_store.path, grid, replace(settings, trials=30)), console)
    shown = console.export_text()
    assert "the first 4 of the grid's 6 combinations, in order (--trials 6 tries all)" in shown
    assert "all 6 combinations of the grid, in order, each on 3 folds: up to 18 trainings" in shown
