"""A run at a URI, kept in step while the search goes on."""

import time
from typing import Any

from ray.tune import Callback

from ichtune.runs.folder import RunFolder

EVERY_S = 5.0
"""So much of the study is lost at most with the driver's machine; trials send their own checkpoints."""


class Sending(Callback):
    """Sends what the driver writes now and then; a run in a plain folder has nothing to send."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.sent = time.monotonic()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.run.remote and time.monotonic() - self.sent >= EVERY_S:
            self.run.push()
            self.sent = time.monotonic()
