"""Keeps the remote copy of a run up to date during a search."""

import time
from typing import Any

from ray.tune import Callback

from ichtune.runs.folder import RunFolder

EVERY_S = 5.0
"""How many seconds of the study are lost at most if the driver's machine dies; trials upload their own files."""


class RunUploader(Callback):
    """Uploads what the driver writes, every few seconds."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.sent = time.monotonic()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self.sent >= EVERY_S:
            self.run.push()
            self.sent = time.monotonic()
