"""What ends a search before its time: a signal, its time budget, or something that would break every trial alike."""

import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar

from ray.tune import Stopper

from ichtune.runs.ends import TrialEnd

SIGNALS = (signal.SIGINT, signal.SIGTERM)

BUDGET = "time budget"
ENDING = "ending: what is done is kept; Ctrl-C again ends at once"
ONE_PRESS_S = 1.0
"""A launcher may send a key's signal on to a process that has had it already."""


class Halt(Stopper):
    """Ray asks it whether to stop; what has been asked for stays with this process, whatever Ray pickles."""

    _reasons: ClassVar[list[str]] = []
    _asked = 0.0

    def __init__(self, time_budget_s: float | None = None) -> None:
        """The budget is counted from when Ray asks for the first time."""
        self._budget_s, self._deadline = time_budget_s, float("inf")

    @property
    def reason(self) -> str | None:
        """Why the search is to stop; None while it may go on."""
        return self._reasons[0] if self._reasons else None

    def request(self, reason: str) -> None:
        """Let the search end cleanly, for a reason that its summary will give."""
        self._reasons.append(reason)

    def __call__(self, trial_id: str, result: dict) -> bool:
        return False

    def stop_all(self) -> bool:
        now = time.monotonic()
        if self._budget_s is not None:
            self._deadline = min(self._deadline, now + self._budget_s)
        if now >= self._deadline and not self._reasons:
            self.request(BUDGET)
        return bool(self._reasons)

    @contextmanager
    def listening(self) -> Generator[None]:
        """Take Ctrl-C or SIGTERM as a request to end cleanly, and a later one as an order to end at once.

        Signals reach the main thread alone, so elsewhere they are left as they are.
        """
        self._reasons.clear()
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._take) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._reasons:
            self.request(TrialEnd.INTERRUPTED)
            self._asked = now
            if not os.isatty(2):  # a terminal has the view, which tells it
                os.write(2, f"{ENDING}\n".encode())  # safe in a handler
        elif now - self._asked > ONE_PRESS_S:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Generator[None]:
    """Take SIGTERM, which batch systems send, as Ctrl-C is taken: as a KeyboardInterrupt.

    A launcher may send on what its process has had already, so that a signal right after the first is the same one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last = float("-inf")

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > ONE_PRESS_S:
            raise KeyboardInterrupt

    handlers = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
