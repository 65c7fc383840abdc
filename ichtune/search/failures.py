"""Trials that break: each keeps its tracebacks, and a fault that breaks all of them ends the search."""

import re
from pathlib import Path
from typing import Any

import ray.exceptions
import torch
from ray import cloudpickle
from ray.tune import Callback
from ray.tune.experiment import Trial

from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.study import ENDED
from ichtune.runs.trial_folder import TrialFolder
from ichtune.search.disk import DISK_FULL
from ichtune.search.halt import Halt

ALIKE = 3
"""After this many trials have failed the same way before any worked, the search gives up."""
LOST = "its process was killed, or its machine was lost"


class Failures(Callback):
    """Handles each failed attempt before the next one begins.

    A trial saves the traceback of its own exceptions; only the driver knows of a process that was killed.
    """

    def __init__(self, run: RunFolder, halt: Halt) -> None:
        self.run, self.halt = run, halt
        self.working: set[str] = set()
        self.kinds: list[str] = []

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        self.working.add(trial.trial_id)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._note_death(trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._note_death(trial)
        self.working.discard(trial.trial_id)
        error = self._folder(trial).last_error()
        self.kinds.append(re.sub(r"0x[0-9a-f]+|\d+", "#", error))
        if not self.working and len(self.kinds) >= ALIKE and len(set(self.kinds)) == 1:
            self.halt.request(f"the first {len(self.kinds)} trials all failed alike: {error}")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        result = trial.last_result or {}
        if DISK_FULL in result:
            self.halt.request(f"the disk is full: {result[DISK_FULL]}")
        elif not self.halt.reason and result.get(ENDED) != TrialEnd.INTERRUPTED:
            self._folder(trial).drop_checkpoint()

    def _note_death(self, trial: Trial) -> None:
        # Written by this process a moment ago; Ray's own accessor reads a copy that may be older.
        error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
        if isinstance(error, ray.exceptions.RayError) and not isinstance(error, ray.exceptions.RayTaskError):
            self._folder(trial).keep_error(f"{error}\n{LOST}")
            if is_out_of_memory(error):
                self._folder(trial).split_batches()

    def _folder(self, trial: Trial) -> TrialFolder:
        return self.run.trial(str(trial))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the GPU or the machine ran out of memory."""
    kinds = (MemoryError, torch.OutOfMemoryError, ray.exceptions.OutOfMemoryError)
    message = re.search(r"can't allocate memory|out of memory|low on memory", str(error), re.IGNORECASE)
    return isinstance(error, kinds) or message is not None
