"""Importance and effects are told from comparable scores, within branches that hold enough of them."""

from pathlib import Path

import numpy as np
import pytest

from analysis.hyperparameters.branches import Rung, branches_of, place
from analysis.hyperparameters.effects import effects
from analysis.hyperparameters.importance import importance
from analysis.results import RankedResults
from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder
from ichtune.space import Space
from ichtune.space.distributions import Choice, Range
from tests.made_up.rankings import drawn, run_by_hand, searched
from tests.made_up.spaces import USUAL

RATES = Space.parse({"optimizer": {"name": "adam", "lr": {"loguniform": [1e-4, 1e-2]}}}, "rates")


def test_a_score_is_the_objective_that_the_search_had_at_the_first_rung(
    made_up: tuple[SliceStore, RunFolder],
):
    results = RankedResults.of(made_up[1])
    rung = Rung.of(results)
    expected = {trial.record.number: trial.record.epochs[1].objective for trial in results.trials}
    assert rung.epoch == 2
    assert [expected[trial.record.number] for trial in rung.trials] == rung.scores.tolist()
    assert len(rung.trials) == 60


def test_trials_without_a_score_at_the_rung_are_left_out_and_told(tmp_path: Path):
    scores = [
        [0.5, 0.6],
        [0.7, 0.6, 0.9],
        [0.5],
        [0.5, np.inf],
        [None, None],
        [None, 0.4],
        [0.5, 0.8, np.inf],
    ]
    results = run_by_hand(tmp_path / "run", RATES, [({"optimizer.lr": 1e-3}, scored) for scored in scores])
    assert Rung.of(results).scores.tolist() == [0.6, 0.7, 0.4, 0.8]
    assert "3 of 7 trials have no score at that epoch and are left out" in Rung.of(results).notes


@pytest.mark.parametrize(
    ("distribution", "value", "expected"),
    [
        (Range.parse("loguniform", [1e-5, 1e-1]), 1e-3, 0.5),
        (Range.parse("uniform", [1, 3]), 1.5, 0.25),
        (Range.parse("int", [1, 4]), 1, 1 / 8),
        (Range.parse("quniform", [0.5, 0.9, 0.1]), 0.7, 0.5),
        (Choice.of(["adam", None, True, 3]), None, 3 / 8),
    ],
)
def test_a_space_is_even_between_0_and_1(distribution: Range | Choice, value: object, expected: float):
    assert place(distribution, value) == pytest.approx(expected)


def test_a_branch_is_the_trials_that_took_its_option():
    params = drawn(USUAL, 50)
    found = {branch.when: branch for branch in branches_of(USUAL, params, np.arange(50.0))}
    taken = [number for number, trial in enumerate(params) if trial["optimizer"] == "adam"]
    adam = found["optimizer is adam"]
    assert adam.scores.tolist() == taken
    assert [own.dimension.name for own in adam.own] == ["optimizer.adam.lr", "optimizer.adam.weight_decay"]
    assert adam.own[0].values == [params[number]["optimizer.adam.lr"] for number in taken]
    assert list(found) == [
        "",
        "loss is focal",
        "optimizer is adam",
        "optimizer is radam",
        "optimizer is sgd",
        "schedule is plateau",
    ]


def test_a_branch_with_too_few_trials_is_refused_in_words(tmp_path: Path):
    results = searched(tmp_path / "run", USUAL, 30)
    small = [branch for branch in Rung.of(results).branches if len(branch.scores) < 20]
    assert small
    for branch in small:
        count = f"{branch.when}: {len(branch.scores)} trials with a score"
        assert f"{count}; importance and effects are unreliable below 20" in Rung.of(results).notes
    refused = {branch.when for branch in small}
    assert not refused & {*importance(Rung.of(results))["branch"], *effects(Rung.of(results))["branch"]}


@pytest.mark.parametrize(
    ("rates", "scores", "message"),
    [
        ([1e-3] * 30, np.linspace(0.5, 0.6, 30), "all trials: no hyperparameter varies"),
        (
            np.geomspace(1e-4, 1e-2, 30),
            [0.5] * 30,
            "all trials: all 30 score the same, so nothing has an effect",
        ),
    ],
)
def test_where_nothing_varies_nothing_is_told(tmp_path: Path, rates: list, scores: list, message: str):
    trials = [({"optimizer.lr": rate}, [score, score]) for rate, score in zip(rates, scores, strict=True)]
    results = run_by_hand(tmp_path / "run", RATES, trials)
    assert message in Rung.of(results).notes
    assert importance(Rung.of(results)).empty
    assert effects(Rung.of(results)).empty


def test_a_space_that_varies_nothing_has_no_branches(tmp_path: Path):
    results = run_by_hand(tmp_path / "run", Space.parse({}, "fixed"), [({}, [0.5, 0.5])] * 30)
    assert importance(Rung.of(results)).empty
    assert effects(Rung.of(results)).empty
