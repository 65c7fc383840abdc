"""A ranking on the screen."""

import io

from rich.console import Console

from analysis.results import RankedResults
from analysis.screen import announce_ranking, print_ranking
from ichtune.runs.settings import SearchSettings
from ichtune.space import Space
from tests.made_up.searches import search_without_ray
from tests.made_up.spaces import SMALL

PARAMS = {"model.dropout": 0.0, "optimizer": "adam", "optimizer.adam.lr": 1e-3, "augmentation": "normal"}


def shown(store, runs, folds: int) -> str:
    settings = SearchSettings(runs=runs, name="try", folds=folds, views=2, engine="torch")
    run = search_without_ray(store, Space.parse(SMALL, "small.yaml"), settings, [(PARAMS, None)])
    results, screen = RankedResults.of(run), Console(file=io.StringIO(), width=100)
    announce_ranking(results.ranking, screen)
    print_ranking(results.ranking, results.ranked_table, screen)
    return screen.file.getvalue()


def test_a_score_on_one_fold_has_no_deviation(small_store, tmp_path):
    text = shown(small_store, tmp_path, folds=1)
    assert "try: auc on one fold" in text
    assert "±" not in text.split("no skill")[0]


def test_a_score_on_several_folds_has_one(small_store, tmp_path):
    text = shown(small_store, tmp_path, folds=2)
    assert "try: auc on 2 folds, mean ± SD" in text
    assert text.split("no skill")[0].count("±") == 2  # the title's and the trial's


def test_a_ranking_of_many_trials_says_that_it_takes_its_time(small_store, tmp_path, monkeypatch):
    assert "takes minutes" not in shown(small_store, tmp_path / "few", folds=1)
    monkeypatch.setattr("analysis.screen.MANY_TRIALS", 1)
    text = shown(small_store, tmp_path / "many", folds=1)
    assert text.startswith("comparing 1 trials with one another, which takes minutes")
