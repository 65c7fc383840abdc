"""Drivers that die, without Ray: what they leave is a journal cut anywhere, and trials' folders."""

import json

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from ichtune.recipe import Recipe
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.study import open_study, settled_trials, trial_ends
from ichtune.runs.trial_folder import TrialFolder
from ichtune.search.recovery import recover
from ichtune.search.searcher import StudySearcher
from tests.made_up.records import epoch as record_of_epoch
from tests.made_up.records import new_run, request

ASKED = 5


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return new_run(tmp_path / "run", request())


@pytest.fixture
def searcher_of(small_space):
    return lambda run: StudySearcher(run.journal, small_space, RandomSampler, lambda _: False)


def drive(searcher: StudySearcher, trials: int) -> list[dict]:
    """Run so many trials as Ray would, two at once, three epochs each; gives what was suggested."""
    for params in searcher.space.points.values():
        searcher.enqueue(params, "baseline")
    waiting, running, suggested = list(range(trials)), [], []
    while waiting or running:
        while waiting and len(running) < 2:
            name = f"ray{waiting.pop(0)}"
            suggested.append(searcher.suggest(name))
            running.append(name)
        name = running.pop(0)
        for epoch in (1, 2):
            searcher.on_trial_result(name, {"epoch": epoch, "objective": epoch / 10})
        searcher.on_trial_complete(name, {"epoch": 3, "objective": 0.3, "ended": "last epoch"})
    return suggested


def test_a_journal_cut_at_any_line_goes_on_to_exactly_the_trials_asked_for(run, searcher_of, tmp_path):
    drive(searcher_of(run), ASKED)
    lines = run.journal.read_bytes().splitlines(keepends=True)
    assert len(lines) > 50
    for cut in range(len(lines)):
        again = new_run(tmp_path / f"cut{cut}", request())
        again.journal.write_bytes(b"".join(lines[:cut]) + lines[cut][: cut % len(lines[cut])])
        kept = recover(again)
        assert recover(again) == kept
        drive(searcher_of(again), ASKED - kept)
        trials = open_study(again.journal).trials
        assert settled_trials(again) == len(trial_ends(again)) == ASKED
        assert TrialState.RUNNING not in {trial.state for trial in trials}
        settled = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        assert len({json.dumps(trial.params, sort_keys=True) for trial in settled}) == ASKED
        assert [trial.user_attrs.get("point") for trial in settled].count("baseline") == 1
        assert all(trial.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3} for trial in settled)


def test_an_interrupted_trial_keeps_its_number_and_what_it_had_reported(run, searcher_of):
    before = searcher_of(run)
    suggested = before.suggest("a")
    before.on_trial_result("a", {"epoch": 1, "objective": 0.6})
    assert recover(run) == 0
    after = searcher_of(run)
    assert after.suggest("b") == suggested
    after.on_trial_result("b", {"epoch": 1, "objective": 0.6})
    after.on_trial_complete("b", {"epoch": 2, "objective": 0.7, "ended": "last epoch"})
    first, second = open_study(run.journal).trials
    assert (first.state, first.user_attrs["ended"]) == (TrialState.FAIL, "interrupted")
    assert second.intermediate_values == {1: 0.6, 2: 0.7}
    assert trial_ends(run) == {0: "last epoch"}


def test_a_trial_that_ended_while_its_driver_died_is_not_trained_again(run, searcher_of):
    searcher = searcher_of(run)
    suggested = searcher.suggest("a")
    searcher.on_trial_result("a", {"epoch": 1, "objective": 0.6})
    folder = TrialFolder(run.trials / "0000-x")
    folder.begin(0, suggested["params"], searcher.space.recipe(suggested["params"]), None, done=0)
    folder.add_epoch(record_of_epoch(1, objective=0.6))
    folder.add_epoch(record_of_epoch(2, objective=0.9, ended=TrialEnd.PATIENCE))
    assert recover(run) == 1
    (trial,) = open_study(run.journal).trials
    assert (trial.state, trial.value, trial.user_attrs["ended"]) == (TrialState.COMPLETE, 0.9, "patience")
    assert trial.intermediate_values == {1: 0.6, 2: 0.9}


def test_a_lock_that_a_killed_driver_held_does_not_hold_up_the_next_one(run, searcher_of):
    searcher_of(run).suggest("a")
    (run.path / "study.journal.lock").symlink_to(run.journal)
    recover(run)
    assert not (run.path / "study.journal.lock").is_symlink()


def test_an_epoch_that_an_attempt_given_up_still_writes_is_there_once(run):
    given_up, next_one = TrialFolder(run.trials / "0000-x"), TrialFolder(run.trials / "0000-x")
    given_up.begin(0, {}, Recipe(), None, done=0)
    given_up.add_epoch(record_of_epoch(1, objective=0.5))
    next_one.begin(0, {}, Recipe(), None, done=1)
    given_up.add_epoch(record_of_epoch(2, objective=0.6))
    next_one.add_epoch(record_of_epoch(2, objective=0.6))
    (record,) = run.trial_records()
    assert [epoch.epoch for epoch in record.epochs] == [1, 2]


def test_half_an_epoch_at_the_end_of_a_trials_record_is_left_out(run):
    folder = TrialFolder(run.trials / "0000-x")
    folder.begin(0, {}, Recipe(), None, done=0)
    folder.add_epoch(record_of_epoch(1, objective=0.5))
    with open(folder.path / "epochs.jsonl", "a") as file:
        file.write('{"epoch": 2, "mea')
    (record,) = run.trial_records()
    assert record.epochs == [record_of_epoch(1, objective=0.5)]


def test_a_second_driver_is_kept_out_of_a_run(run):
    with (
        run.locked(),
        pytest.raises(ValueError, match="another process is searching in this run"),
        run.locked(),
    ):
        pass
