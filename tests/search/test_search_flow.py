"""What a person reads when a search is cut short."""

import pickle
import signal
from dataclasses import replace
from pathlib import Path
from typing import Never

import pytest
from rich.console import Console

from ichtune.commands import search_flow
from ichtune.runs.ends import TrialEnd
from ichtune.search.halt import Halt
from ichtune.search.plan import Plan
from ichtune.wording import pasteable
from tests.made_up.records import new_run


def search_for(plan: Plan, console: Console) -> int:
    return search_flow.run(plan.store.path, plan.space, plan.settings, console, dry_run=False)


def interrupted(plan: Plan, console: Console) -> Never:
    """A search that is interrupted when its run is there."""
    new_run(plan.run, plan.request)
    raise KeyboardInterrupt


def test_an_interrupt_before_the_first_trial_says_how_to_go_on(small_plan, monkeypatch):
    monkeypatch.setattr(search_flow, "search", interrupted)
    console = Console(record=True, width=200)
    assert search_for(small_plan, console) == 130
    text = console.export_text()
    assert "interrupted before the first trial was done" in text
    assert f"--runs {small_plan.settings.runs} --resume {small_plan.settings.name}" in text


def test_an_interrupt_at_once_says_how_many_trials_are_done(small_plan, monkeypatch):
    monkeypatch.setattr(search_flow, "search", interrupted)
    monkeypatch.setattr(search_flow, "settled_trials", lambda run: 2)
    console = Console(record=True, width=200)
    assert search_for(small_plan, console) == 130
    assert "interrupted with 2 of 4 trials done" in console.export_text()


def test_an_interrupt_of_the_ranking_says_that_the_trials_are_kept(small_job, monkeypatch):
    def interrupted(run, console):
        raise KeyboardInterrupt

    monkeypatch.setattr("analysis.screen.print_summary", interrupted)
    console = Console(record=True, width=200)
    assert search_flow.finish(small_job[1], console, stopped=None) == 130
    text = console.export_text()
    assert "the trials are kept" in text
    assert f"ichtune rank {small_job[1]}" in text


def test_a_second_signal_within_one_press_of_a_key_is_the_same_one(monkeypatch):
    halt = Halt()
    with halt.listening():
        for _ in range(2):  # as from a launcher that sends it on
            signal.raise_signal(signal.SIGINT)
        assert halt.reason == TrialEnd.INTERRUPTED
        monkeypatch.setattr("ichtune.search.halt.ONE_PRESS_S", 0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("uv", "before"), [("/usr/bin/uv", "uv run "), ("", "")])
def test_commands_can_be_pasted(monkeypatch, uv, before):
    monkeypatch.setenv("UV", uv)
    assert pasteable("ichtune", "rank", Path("runs/a [b] *")) == f"{before}ichtune rank 'runs/a [b] *'"


def test_brackets_in_a_name_are_printed(small_plan, monkeypatch):
    monkeypatch.setattr(search_flow, "search", interrupted)
    console = Console(record=True, width=200)
    plan = replace(small_plan, settings=replace(small_plan.settings, name="[red]"))
    assert search_for(plan, console) == 130
    assert "--resume '[red]'" in console.export_text()


def test_a_request_to_stop_stays_with_its_own_search():
    halt = Halt(3600)
    halt.request("the disk is full")
    assert (halt.reason, halt.stop_all()) == ("the disk is full", True)
    assert Halt().reason is None
    copy = pickle.loads(pickle.dumps(halt))  # as Ray keeps it with the experiment
    assert (copy.reason, copy.stop_all()) == (None, False)
