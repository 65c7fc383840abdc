"""Runs the commands of a reproduction, each as a process of its own, and goes on where an earlier call stopped."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import numpy as np
import pandas as pd

from analysis.studies.plan import Command, Reproduction
from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.json_text import read_json
from ichtune.labels import LABELS
from ichtune.locks import locked

PLAN: Final = "plan.json"
DONE: Final = "done.json"
SAMPLE, TRUTH = "sample.csv", "labels.csv"
"""The slices of the test set in the form of the RSNA 2019 challenge: without and with their labels."""


class StepFailed(Exception):
    """A command of a reproduction ended with another exit code than 0, which this has."""

    def __init__(self, command: Command, code: int) -> None:
        super().__init__(command, code)
        self.command, self.code = command, code


def run(planned: Reproduction, begin: Callable[[Command], None] = lambda command: None) -> None:
    """Run what isn't done yet; `begin` is called with each command before it runs.

    Raises:
        InputError: the folder holds a reproduction of something else, or another process is working there.
        StepFailed: a command failed; what is done is kept, and the next call goes on with it.
    """
    planned.out.mkdir(parents=True, exist_ok=True)
    refusal = f"{planned.out}: another process is reproducing this; wait for it, or choose another --out"
    with locked(planned.out / ".lock", refusal):
        _begin(planned)
        for command in planned.commands:
            if command.step.name in seconds(planned):
                continue
            begin(command)
            _run(planned, command)


def seconds(planned: Reproduction) -> dict[str, float]:
    """How long each finished step took, by name."""
    file = planned.out / DONE
    return read_json(file) if file.is_file() else {}


def _begin(planned: Reproduction) -> None:
    file = planned.out / PLAN
    if file.is_file():
        begun: dict[str, Any] = read_json(file)
        if changed := [name for name, value in planned.identity.items() if begun.get(name) != value]:
            raise InputError(
                f"{planned.out}: holds a reproduction with other {' and other '.join(changed)}; choose another --out"
            )
        return
    if any(each.name != ".lock" for each in planned.out.iterdir()):
        raise InputError(f"{planned.out}: is not empty, and no reproduction; choose another --out")
    if planned.study.challenge:
        _write_challenge(planned)
    with replacing(file) as beside:
        beside.write_text(json.dumps(planned.identity, indent=2) + "\n")


def _write_challenge(planned: Reproduction) -> None:
    store = planned.store
    rows = store.test[~np.isnan(store.labels[store.test]).any(axis=1)]
    if not len(rows):
        raise InputError(
            f"{store.path}: no slice of its test set has all six labels, which the challenge's score needs"
        )
    ids = [f"{name}_{label}" for name in store.table["slice_id"].iloc[rows] for label in LABELS]
    for name, values in ((SAMPLE, 0.5), (TRUTH, store.labels[rows].reshape(-1).astype(int))):
        pd.DataFrame({"ID": ids, "Label": values}).to_csv(planned.out / name, index=False)


def _run(planned: Reproduction, command: Command) -> None:
    begun = time.monotonic()
    if not (command.step.makes and planned.path(command.step.makes).exists()):
        code = _child(_resumed(planned, command))
        if code:
            raise StepFailed(command, code)
    done = seconds(planned) | {command.step.name: round(time.monotonic() - begun, 1)}
    with replacing(planned.out / DONE) as beside:
        beside.write_text(json.dumps(done, indent=2) + "\n")


def _resumed(planned: Reproduction, command: Command) -> tuple[str, ...]:
    """The arguments of a command; those of a search that has begun resume it. All other commands do so themselves."""
    name = command.step.name
    if command.step.command != "search" or not (planned.runs / name / "search.yaml").is_file():
        return command.arguments
    return ("search", "--resume", name, "--runs", str(planned.runs))


def _child(arguments: tuple[str, ...]) -> int:
    """Run a command in a session of its own, so that Ctrl-C reaches it once, by way of this process."""
    child = subprocess.Popen([sys.executable, "-m", "ichtune.cli", *arguments], start_new_session=True)

    def forward(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code
