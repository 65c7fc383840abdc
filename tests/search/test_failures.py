"""Recipes that break, on a real local Ray."""

import os
import pickle
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from optuna.trial import TrialState
from rich.console import Console

from ichtune.commands import search_flow
from ichtune.recipe import Recipe
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.runs.study import open_study, trial_ends
from ichtune.search.failures import Failures, is_out_of_memory
from ichtune.search.halt import Halt
from ichtune.space import Space
from ichtune.training.experiment import Experiment
from ichtune.training.results import EpochResult

pytestmark = pytest.mark.timeout(240)

SPACE = """
model: {backbone: resnet18, weights: random, size: 32, dropout: {choice: [0.0, 0.1, 0.2, 0.3]}}
optimizer: {name: adam, lr: 0.001}
augmentation: normal
training: {epochs: 3, batch_size: 8}
points:
  sound: {}
  error: {model: {dropout: 0.1}}
  memory: {model: {dropout: 0.2}}
  killed: {model: {dropout: 0.3}}
"""


@pytest.fixture
def breaking(tmp_path) -> type[Experiment]:
    """An experiment that breaks in the way that a recipe's dropout asks for."""
    killed = tmp_path / "killed"

    class Breaking(Experiment):
        def epochs(self, recipe: Recipe, *, micro_batches: int = 1, **more: Any) -> Iterator[EpochResult]:
            kind = {0.1: "error", 0.2: "memory", 0.3: "killed"}.get(recipe.model.dropout)
            for result in Experiment.epochs(self, recipe, micro_batches=micro_batches, **more):
                if result.epoch == 2:
                    if kind == "error":
                        raise ValueError("no recipe for this")
                    if kind == "memory" and micro_batches < 2:
                        raise torch.OutOfMemoryError("CUDA out of memory (made up)")
                    if kind == "killed" and not killed.exists():
                        killed.touch()
                        os.kill(os.getpid(), signal.SIGKILL)
                yield result

    return Breaking


def test_a_recipe_that_breaks_is_retried_then_fails_alone(
    banked_store, breaking, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr("ichtune.search.plan.Experiment", breaking)
    space = Space.parse(yaml.safe_load(SPACE), "breaking.yaml")
    settings = SearchSettings(
        trials=4, name="run", runs=tmp_path, folds=2, views=1, grace=9, max_failures=1, max_concurrent=2
    )
    assert search_flow.run(banked_store, space, settings, Console(width=100), dry_run=False) == 0
    output, errors = capfd.readouterr()
    run = RunFolder.open(tmp_path / "run")
    ends, records = trial_ends(run), {record.number: record for record in run.trial_records()}
    assert ends == {0: "last epoch", 1: "failed", 2: "last epoch", 3: "last epoch"}
    told = (records[1].folder / "errors.txt").read_text()
    assert told.count("ValueError: no recipe for this") == 2  # the first attempt and a retry
    assert f"{records[1].folder.name} failed: ValueError: no recipe for this" in output
    assert "1 failed" in output
    assert [epoch.epoch for epoch in records[2].epochs] == [1, 2, 3]
    assert records[2].last.batch_parts == 2
    assert "its batches are now split into 2 micro-batches" in output
    assert "its process was killed" in (records[3].folder / "errors.txt").read_text()
    assert [epoch.epoch for epoch in records[3].epochs] == [1, 2, 3]
    assert TrialState.RUNNING not in {trial.state for trial in open_study(run.journal).trials}
    assert "Traceback" not in errors


def failing(callback: Failures, name: str, error: str, tmp_path) -> None:
    """Let a trial end as Ray tells of one whose last attempt raised an error."""
    callback.run.trial(name).keep_error(f"Traceback ...\n{error}")
    (tmp_path / "error.pkl").write_bytes(pickle.dumps(ValueError(error)))
    trial: Any = Named(name, pickled_error_file=str(tmp_path / "error.pkl"))
    callback.on_trial_error(0, [], trial)


class Named(SimpleNamespace):
    def __init__(self, name: str, **values: object) -> None:
        super().__init__(trial_id=name, **values)

    def __str__(self) -> str:
        return self.trial_id


@pytest.fixture
def callback(tmp_path) -> Iterator[Failures]:
    halt = Halt()
    with halt.listening():
        yield Failures(RunFolder(tmp_path), halt)


def test_a_search_whose_trials_all_fail_alike_ends_early_with_the_error(callback, tmp_path):
    for name in ("0000-a", "0001-b", "0002-c"):
        assert callback.halt.reason is None
        failing(callback, name, f"ValueError: no slice {name[3]} in 0x7f{name[3]}", tmp_path)
    assert callback.halt.reason == "the first 3 trials all failed alike: ValueError: no slice 2 in 0x7f2"


def test_unlike_failures_or_ones_beside_a_success_do_not_end_a_search(callback, tmp_path):
    for number in range(5):
        failing(callback, f"000{number}-a", f"ValueError: {'no' * number}", tmp_path)
    callback.kinds.clear()
    working: Any = Named("0009-a")
    callback.on_trial_result(0, [], working, {"epoch": 1})
    for number in range(5):
        failing(callback, f"001{number}-a", "ValueError: the same", tmp_path)
    assert callback.halt.reason is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (ValueError("out of range"), False),
    ],
)
def test_an_out_of_memory_is_known_as_such(error, expected):
    assert is_out_of_memory(error) is expected


def test_no_memory_for_an_array_is_out_of_memory():
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, np.uint8)
    assert is_out_of_memory(caught.value)
