"""Recipes that break, on a real local Ray."""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from optuna.trial import TrialState

from ichtune.search.failures import Failures, is_out_of_memory
from ichtune.search.halt import Halt
from ichtune.search.run_folder import RunFolder
from ichtune.search.study import open_study, trial_ends

pytestmark = pytest.mark.timeout(240)

# A search on a store whose features break in the way that a recipe's dropout asks for.
BREAKING = """
import sys, os
from pathlib import Path
import numpy as np, torch
from rich.console import Console
from ichtune.search import command
from ichtune.search.settings import SearchSettings
from ichtune.space import Space
import ichtune.search.trial as trial
from ichtune.training.experiment import Experiment

class Breaking(Experiment):
    def epochs(self, recipe, *, parts=1, **more):
        kind = {0.1: "error", 0.2: "memory", 0.3: "killed"}.get(recipe.model.dropout)
        for result in super().epochs(recipe, parts=parts, **more):
            if result.epoch == 2:
                if kind == "error":
                    raise ValueError("no recipe for this")
                if kind == "memory" and parts < 2:
                    raise torch.OutOfMemoryError("CUDA out of memory (made up)")
                if kind == "killed" and not KILLED.exists():
                    KILLED.touch()
                    os.kill(os.getpid(), 9)
            yield result

KILLED = Path(sys.argv[2]) / "killed"
import ichtune.search.search as search
search.Experiment = Breaking
import cloudpickle
cloudpickle.register_pickle_by_value(sys.modules["__main__"])
space = Space.load(Path(sys.argv[2]) / "space.yaml")
settings = SearchSettings(trials=4, name="run", runs=Path(sys.argv[2]), folds=2, views=1, grace=9,
                          max_failures=1, max_concurrent=2)
sys.exit(command.run(Path(sys.argv[1]), space, settings, Console(width=100), dry_run=False))
"""
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


def search(store: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "space.yaml").write_text(SPACE)
    command = [sys.executable, "-c", BREAKING, str(store), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def test_a_recipe_that_breaks_is_retried_then_fails_alone_and_the_others_come_to_their_end(
    small_store, tmp_path
):
    done = search(small_store.path, tmp_path)
    assert done.returncode == 0, done.stderr
    run = RunFolder.open(tmp_path / "run")
    ends, records = trial_ends(run), {record.number: record for record in run.trial_records()}
    assert ends == {0: "last epoch", 1: "failed", 2: "last epoch", 3: "last epoch"}
    errors = (records[1].folder / "errors.txt").read_text()
    assert errors.count("ValueError: no recipe for this") == 2  # the first attempt and a retry
    assert f"{records[1].folder.name} failed: ValueError: no recipe for this" in done.stdout
    assert "1 failed" in done.stdout
    assert [epoch["epoch"] for epoch in records[2].epochs] == [1, 2, 3]
    assert records[2].epochs[-1]["batch_parts"] == 2
    assert "each of its batches now goes through in 2 parts" in done.stdout
    assert "its process was killed" in (records[3].folder / "errors.txt").read_text()
    assert [epoch["epoch"] for epoch in records[3].epochs] == [1, 2, 3]
    assert TrialState.RUNNING not in {trial.state for trial in open_study(run.journal).trials}
    assert "Traceback" not in done.stderr


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


def test_a_search_in_which_every_trial_fails_alike_ends_early_with_that_error(callback, tmp_path):
    for name in ("0000-a", "0001-b", "0002-c"):
        assert callback.halt.reason is None
        failing(callback, name, f"ValueError: no slice {name[3]} in 0x7f{name[3]}", tmp_path)
    assert callback.halt.reason == "the first 3 trials all failed alike: ValueError: no slice 2 in 0x7f2"


def test_trials_that_fail_in_other_ways_or_beside_one_that_works_do_not_end_a_search(callback, tmp_path):
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
