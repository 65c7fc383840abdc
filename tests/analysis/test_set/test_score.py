"""A small real search: its best recipes with other seeds, its ablation, and the test set once at the end."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import recall_score, roc_auc_score
from typer.testing import CliRunner

from analysis.ranking.seed_noise import reruns
from analysis.ranking.seeds import rerun
from analysis.ranking.single_changes import finalists
from analysis.results import RankedResults
from analysis.test_set.held_out import HeldOut
from analysis.test_set.score import score_on_test
from ichtune.cli import app
from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.search.proposals import first_trials
from ichtune.space import Space
from tests.made_up.dicom import write_rsna
from tests.made_up.searches import search_without_ray

SPACE = Space.parse(
    {
        "metric": "auc",
        "model": {"weights": "random", "size": 32, "dropout": {"choice": [0.0, 0.5]}},
        "loss": {"choice": [{"name": "bce"}, {"name": "focal", "alpha": 0.5}]},
        "optimizer": {"name": "adam", "lr": {"choice": [0.001, 0.01]}},
        "training": {"epochs": 2, "batch_size": 8},
        "points": {
            "baseline": {"loss": {"name": "bce"}, "optimizer": {"lr": 0.001}, "model": {"dropout": 0.0}},
            "focal": {"loss": {"name": "focal"}, "optimizer": {"lr": 0.001}, "model": {"dropout": 0.0}},
            "faster": {"loss": {"name": "bce"}, "optimizer": {"lr": 0.01}, "model": {"dropout": 0.0}},
            "two": {"loss": {"name": "focal"}, "optimizer": {"lr": 0.01}, "model": {"dropout": 0.5}},
        },
    },
    "points",
)


BUILDERS = (
    "analysis.results.ablations",
    "analysis.tables.ranked.ranked_rows",
    "analysis.tables.ranked.ranked_table",
    "analysis.tables.by_label.label_table",
    "analysis.tables.ablation.ablation_table",
    "analysis.tables.ablation.test_table",
    "analysis.tables.by_fold.fold_table",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SliceStore:
    folder = tmp_path_factory.mktemp("data")
    source = write_rsna(folder / "rsna", size=32, patients=14)
    return prepare(
        source, folder / "store", PrepareOptions(size=32, folds=2, workers=1, test_fraction=0.3)
    ).store


@pytest.fixture(scope="module")
def searched(store: SliceStore, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of the space's four points, as a search leaves it."""
    settings = SearchSettings(runs=tmp_path_factory.mktemp("runs"), name="points", folds=2, views=1, trials=4)
    return search_without_ray(store, SPACE, settings, first_trials("random", SPACE))


@pytest.fixture
def run(searched: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the run for one test alone."""
    return RunFolder(Path(shutil.copytree(searched.path, tmp_path / "points")))


def test_one_change_to_the_baseline_is_told_from_two(searched):
    changes = {trial.short_name: change for trial, change in RankedResults.of(searched).ablation}
    assert changes == {
        "baseline": "baseline",
        "focal": "loss.name bce -> focal, loss.gamma 2, loss.alpha 0.5",
        "faster": "optimizer.lr 0.001 -> 0.01",
    }


def test_until_the_test_set_is_scored_the_ablation_has_validation_only(searched):
    table = RankedResults.of(searched).ablation_table
    assert table.rows["change"].iloc[0] == "baseline"
    assert not [name for name in table.rows.columns if name.startswith("test_")]
    assert any("has not been used" in note for note in table.notes)
    assert RankedResults.of(searched).test_table is None


def test_the_test_set_is_scored_by_the_mean_probability_of_all_folds(run, store):
    results = RankedResults.of(run)
    held_out = HeldOut(run, store)
    score_on_test(held_out, finalists(results.best, results.ablation))
    table = results.ablation_table.rows
    trial = next(trial for trial, change in results.ablation if change == "baseline")
    probs, labels = expit(held_out.logits(trial)[store.test].astype(float)), store.labels[store.test]
    both = [k for k in range(6) if 0 < labels[:, k].mean() < 1]
    areas = [roc_auc_score(labels[:, k], probs[:, k]) for k in both]
    recalls = [recall_score(labels[:, k], probs[:, k] >= 0.5) for k in both]
    assert table["test_auc"].iloc[0] == pytest.approx(np.mean(areas))
    assert table["test_recall"].iloc[0] == pytest.approx(np.mean(recalls))
    assert np.isnan(table["test_auc_difference"].iloc[0])
    assert table["test_auc_difference"].iloc[1] == pytest.approx(
        table["test_auc"].iloc[1] - table["test_auc"].iloc[0]
    )


def test_each_folds_own_scores_are_shown_with_their_mean_and_deviation(run, store):
    assert RankedResults.of(run).fold_table is None
    results = RankedResults.of(run)
    held_out = HeldOut(run, store)
    score_on_test(held_out, finalists(results.best, results.ablation))
    trial = next(trial for trial, change in results.ablation if change == "baseline")
    rows = results.fold_table.rows.query("trial == @trial.name").set_index("fold")
    labels = store.labels[store.test]
    both = [k for k in range(6) if 0 < labels[:, k].mean() < 1]
    areas = [
        np.mean([roc_auc_score(labels[:, k], of_fold[:, k]) for k in both])
        for of_fold in held_out.by_fold(trial)
    ]
    assert rows.index.tolist() == ["0", "1", "mean", "SD"]
    assert rows["test_auc"].tolist() == pytest.approx([*areas, np.mean(areas), np.std(areas, ddof=1)])
    assert rows["validation_auc"]["mean"] == pytest.approx(trial.score)


def test_the_test_set_is_looked_at_once_and_a_second_look_is_told(run, store):
    results, held_out = RankedResults.of(run), HeldOut(run, store)
    for _ in range(2):
        score_on_test(held_out, [results.best])
        assert [look["trials"] for look in held_out.looks] == [[results.best.name]]
        assert not any("times" in note for note in RankedResults.of(run).test_table.notes)
    score_on_test(held_out, results.trials)
    assert any("used 2 times" in note for note in RankedResults.of(run).test_table.notes)


def test_a_store_without_a_test_set_is_told(run, store):
    whole = SliceStore(store.path, store.info, store.hu)
    whole.table = store.table.assign(split="train")
    with pytest.raises(InputError, match=r"--test: .* has no test set"):
        score_on_test(HeldOut(run, whole), RankedResults.of(run).trials)


def test_other_seeds_of_the_top_recipes_give_the_noise_floor(run):
    results = RankedResults.of(run)
    again = rerun(results.ranking, top=2, seeds=2)
    assert [(r["trial"], r["seed"]) for r in again] == [
        (trial.name, seed) for trial in results.trials[:2] for seed in (1, 2)
    ]
    again = RankedResults.of(run)
    assert again.table["seeds"].tolist()[:2] == [2, 2]
    assert again.table["noise_floor"].nunique() == 1


def test_an_interrupted_rerun_goes_on_where_it_was(run):
    def interrupt(done: int, total: int, remark: str) -> None:
        if done == 1:
            raise KeyboardInterrupt

    results = RankedResults.of(run)
    with pytest.raises(KeyboardInterrupt):
        rerun(results.ranking, 1, 2, interrupt)
    before = reruns(run)
    assert len(before) == 1
    assert rerun(results.ranking, 1, 2)[:1] == before


def test_the_noise_floor_as_worked_by_hand(run):
    scores = {"a": [0.70, 0.72], "b": [0.60, 0.64]}
    lines = [
        {"trial": trial, "seed": seed, "mean": {"auc": score}}
        for trial, values in scores.items()
        for seed, score in enumerate(values)
    ]
    (run.path / "seeds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pooled = np.sqrt((0.01**2 * 2 + 0.02**2 * 2) / 2)
    # Student's t for one degree of freedom, as both recipes have the same two seeds
    assert RankedResults.of(run).noise_floor == pytest.approx(12.706205 * np.sqrt(2) * pooled)


@pytest.mark.parametrize("command", [["rank", "--test"], ["report"]])
def test_each_table_is_built_once_however_many_show_it(run, monkeypatch, command):
    built: Counter[str] = Counter()

    def counted(name: str, build: Callable[..., Any], *arguments: Any) -> Any:
        built[name] += 1
        return build(*arguments)

    for name in BUILDERS:
        module, _, function = name.rpartition(".")
        build = getattr(import_module(module), function)
        monkeypatch.setattr(name, partial(counted, name, build))
    done = CliRunner().invoke(app, [*command, str(run.path)])
    assert done.exit_code == 0, done.output
    assert built == dict.fromkeys(BUILDERS, 1)


def test_the_command_reruns_scores_and_writes_all_tables(run):
    done = CliRunner().invoke(app, ["rank", str(run.path), "--seeds", "2", "--test", "--top", "2"])
    assert done.exit_code == 0, done.output
    assert "by random seed alone" in done.output
    assert "mean over 2 other seeds: " in done.output
    assert "test AUC" in done.output
    assert {file.stem for file in run.results.iterdir()} == {
        "ranked",
        "labels",
        "ablation",
        "test",
        "folds",
        "population",
    }
    ablation = pd.read_csv(run.results / "ablation.csv")
    assert ablation["change"].tolist()[-3:] == ["always negative", "prevalence", "position"]
    assert ablation["test_auc"].tolist()[-3:-1] == [0.5, 0.5]
