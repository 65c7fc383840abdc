import pickle

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState
from ray.tune.search import Searcher

from ichtune.runs.study import open_study
from ichtune.search.searcher import StudySearcher


@pytest.fixture
def stopped() -> set[str]:
    """The trials that the scheduler has stopped."""
    return set()


@pytest.fixture
def searcher(tmp_path, small_space, stopped) -> StudySearcher:
    return StudySearcher(tmp_path / "study.journal", small_space, _random, stopped.__contains__)


def _random(trials: int) -> RandomSampler:
    return RandomSampler(seed=trials)


def trial_of(searcher: StudySearcher, number: int = 0):
    return open_study(searcher.journal).trials[number]


def test_a_trial_that_the_scheduler_stopped_is_pruned_with_every_value(searcher, stopped):
    searcher.suggest("a")
    searcher.on_trial_result("a", {"epoch": 1, "objective": 0.6})
    stopped.add("a")
    searcher.on_trial_complete("a", {"epoch": 2, "objective": 0.7})
    trial = trial_of(searcher)
    assert trial.state == TrialState.PRUNED
    assert trial.intermediate_values == {1: 0.6, 2: 0.7}
    assert trial.user_attrs["ended"] == "asha"


def test_a_result_that_was_lost_with_its_machine_is_made_up_for_by_the_next(searcher):
    searcher.suggest("a")
    searcher.on_trial_result("a", {"epoch": 1, "objective": 0.6})
    searcher.on_trial_result("a", {"epoch": 3, "objective": 0.8, "earlier": [0.6, 0.7]})
    assert trial_of(searcher).intermediate_values == {1: 0.6, 2: 0.7, 3: 0.8}


@pytest.mark.parametrize("ended", ["last epoch", "patience", "diverged"])
def test_a_trial_that_ended_by_itself_is_complete_and_says_how(searcher, ended):
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"epoch": 3, "objective": 0.8, "ended": ended})
    trial = trial_of(searcher)
    assert (trial.state, trial.value, trial.user_attrs["ended"]) == (TrialState.COMPLETE, 0.8, ended)


def test_a_trial_that_broke_is_failed(searcher):
    searcher.suggest("a")
    searcher.on_trial_result("a", {"epoch": 1, "objective": 0.6})
    searcher.on_trial_complete("a", error=True)
    trial = trial_of(searcher)
    assert (trial.state, trial.user_attrs["ended"]) == (TrialState.FAIL, "failed")


def test_nothing_is_left_running_when_a_search_is_interrupted(searcher):
    searcher.suggest("a")
    searcher.suggest("b")
    searcher.on_trial_complete("a", {"epoch": 1, "objective": 0.6})
    searcher.interrupt_running()
    assert [trial_of(searcher, n).state for n in (0, 1)] == [TrialState.FAIL] * 2
    assert [trial_of(searcher, n).user_attrs["ended"] for n in (0, 1)] == ["interrupted"] * 2


def test_named_points_are_proposed_first(searcher, small_space):
    for point, params in small_space.points.items():
        searcher.enqueue(params, point)
    first, second = searcher.suggest("a"), searcher.suggest("b")
    assert (first["point"], second["point"]) == ("baseline", None)
    assert first["params"]["optimizer.adam.lr"] == 1e-3


def test_rays_trial_and_the_recipes_hash_stand_on_every_optuna_trial(searcher):
    searcher.suggest("a1b2")
    attributes = trial_of(searcher).user_attrs
    assert attributes["ray_trial"] == "a1b2"
    assert len(attributes["recipe"]) == 12


def test_a_completion_told_twice_counts_once(searcher):
    searcher.suggest("a")
    for value in (0.8, 0.1):
        searcher.on_trial_complete("a", {"epoch": 3, "objective": value, "ended": "last epoch"})
    assert trial_of(searcher).value == 0.8


def test_the_searcher_pickles_and_finds_its_study_again(searcher):
    searcher.suggest("a")
    searcher.stopped_by_scheduler = None  # a closure of the test
    again = pickle.loads(pickle.dumps(searcher))
    assert [trial.params for trial in again.study.trials] == [trial.params for trial in searcher.study.trials]


def test_a_recipe_tried_before_takes_its_result_and_is_not_given_to_ray(searcher):
    first = searcher.suggest("a")
    searcher.on_trial_result("a", {"epoch": 1, "objective": 0.6})
    searcher.on_trial_complete("a", {"epoch": 2, "objective": 0.7, "ended": "last epoch"})
    searcher.study.enqueue_trial(first["params"])
    assert searcher.suggest("b")["params"] != first["params"]
    repeat = trial_of(searcher, 1)
    assert (repeat.state, repeat.value, repeat.user_attrs["repeats"]) == (TrialState.COMPLETE, 0.7, 0)
    assert repeat.intermediate_values == {1: 0.6, 2: 0.7}


def test_a_recipe_that_is_being_tried_takes_the_same_end_when_there_is_one(searcher, stopped):
    first = searcher.suggest("a")
    searcher.study.enqueue_trial(first["params"])
    assert searcher.suggest("b")["number"] == 2
    assert trial_of(searcher, 1).state == TrialState.RUNNING
    stopped.add("a")
    searcher.on_trial_complete("a", {"epoch": 1, "objective": 0.4})
    assert trial_of(searcher, 1).state == TrialState.PRUNED
    assert trial_of(searcher, 1).intermediate_values == {1: 0.4}


def test_the_same_recipe_with_another_seed_is_another_one(searcher, small_space):
    seeds = small_space.changed({"training.seed": {"choice": [0, 1]}})
    searcher.space = seeds
    params = searcher.suggest("a")["params"]
    searcher.study.enqueue_trial({**params, "training.seed": 1 - params["training.seed"]})
    assert searcher.suggest("b")["number"] == 1


def test_a_space_without_further_recipes_ends_the_search(tmp_path, small_space):
    few = small_space.changed(
        {
            "model.dropout": 0.0,
            "optimizer": {"name": "adam"},
            "augmentation": {"choice": ["normal", "moderate"]},
        }
    )
    searcher = StudySearcher(tmp_path / "few.journal", few, _random, lambda _: False)
    assert {searcher.suggest(name)["params"]["augmentation"] for name in "ab"} == {"normal", "moderate"}
    assert searcher.suggest("c") == Searcher.FINISHED


def test_an_epoch_that_comes_again_after_a_retry_counts_once(searcher):
    searcher.suggest("a")
    for epoch, value in ((1, 0.6), (2, 0.7), (2, 0.9), (3, 0.8)):
        searcher.on_trial_result("a", {"epoch": epoch, "objective": value})
    assert trial_of(searcher).intermediate_values == {1: 0.6, 2: 0.7, 3: 0.8}


def test_the_placeholder_score_of_a_trial_on_a_full_disk_is_not_kept(searcher):
    searcher.suggest("a")
    searcher.on_trial_result("a", {"epoch": 1, "objective": 0.6})
    searcher.on_trial_complete(
        "a", {"epoch": 0, "objective": 0.0, "ended": "interrupted", "disk_full": "No space left"}
    )
    trial = trial_of(searcher)
    assert (trial.state, trial.user_attrs["ended"]) == (TrialState.FAIL, "interrupted")
    assert trial.intermediate_values == {1: 0.6}
