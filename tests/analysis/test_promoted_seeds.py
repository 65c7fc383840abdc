"""A small real promoted run, of a search with two seeds: what its seeds and those of the search are."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from analysis.promotion.choose import promote
from analysis.ranking.seeds import rerun
from analysis.results import RankedResults
from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.search.trial import TrialJob
from ichtune.space import Space
from tests.made_up.records import new_run
from tests.made_up.searches import run_trial, search_without_ray
from tests.made_up.spaces import SMALL

RECIPES = [
    ({"model.dropout": 0.0, "optimizer": "adam", "optimizer.adam.lr": lr, "augmentation": "normal"}, None)
    for lr in (0.0003, 0.003)
]
STILL = {"optimizer.lr": 1e-12, "training.epochs": 1}
"""Changes with which fine-tuning changes nothing, so that a trial stays what it started from."""


@pytest.fixture(scope="module")
def runs(prepared: SliceStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunFolder]:
    """Two recipes trained with two seeds on three folds, and promoted with one seed on two folds."""
    folder = tmp_path_factory.mktemp("promoted")
    store = SliceStore.open(shutil.copytree(prepared.path, folder / "store"))
    settings = SearchSettings(trials=2, name="frozen", runs=folder, folds=3, views=1, repeats=2)
    frozen = search_without_ray(store, Space.parse(SMALL, "small"), settings, RECIPES)
    asked = SearchSettings(promote=str(frozen), top="2", folds=2, name="tuned", runs=folder, engine="torch")
    made = promote(asked, STILL, given=set())
    planned = plan(made.data, made.space, made.settings, made.promotion)
    tuned = new_run(planned.run, planned.request)
    made.promotion.write(tuned)
    job = TrialJob(planned.experiment, planned.space, tuned, threads=1, promotes=True)
    for number, (name, params) in enumerate(made.space.points.items()):
        run_trial(job, {"number": number, "params": params, "point": name})
    return frozen, tuned


def test_a_frozen_score_is_that_of_the_seed_and_folds_that_were_fine_tuned(runs):
    frozen, tuned = runs
    results = RankedResults.of(tuned)
    [table] = results.promoted.tables
    labels = results.store.labels
    for row in table.rows.to_dict("records"):
        first = np.load(frozen.trials / row["frozen_trial"] / "out_of_fold.npy")[0]
        areas = []
        for _, valid in results.store.fold_indices()[:2]:
            both = [k for k in range(6) if 0 < labels[valid, k].mean() < 1]
            areas.append(np.mean([roc_auc_score(labels[valid, k], first[valid, k]) for k in both]))
        assert row["frozen_score"] == pytest.approx(np.mean(areas), abs=1e-3)
    assert any("on the 2 folds" in note and "the frozen run has 2 seeds x 3" in note for note in table.notes)


def test_other_seeds_of_a_promoted_recipe_start_from_its_own_heads(runs, tmp_path):
    tuned = RunFolder.open(shutil.copytree(runs[1].path, tmp_path / Path(runs[1].path).name))
    ranking = RankedResults.of(tuned).ranking
    [again] = rerun(ranking, top=1, seeds=1)
    # All that a still training changes with the seed are batch norm's statistics; a new head would have a loss of 0.71.
    assert again["mean"]["loss"] == pytest.approx(ranking.best.scores.mean["loss"], abs=0.002)
