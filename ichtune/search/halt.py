"""What ends a search early: a signal, its time budget, or a fault that would break every trial."""

import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from ray.tune import Stopper

from ichtune.runs.ends import TrialEnd

SIGNALS = (signal.SIGINT, signal.SIGTERM)

BUDGET = "time budget"
ENDING = "ending: what is done is kept; Ctrl-C again ends at once"
ONE_PRESS_S = 1.0
"""A launcher may forward a signal that the process has already received from the terminal."""


class Halt(Stopper):
    """Decides when a search stops: Ray polls it, and whoever wants the search to end calls `request`.

    Requests belong to this process: a pickled copy carries the time budget only.
    """

    def __init__(self, time_budget_s: float | None = None) -> None:
        """Start with no request; the time budget begins when Ray polls for the first time."""
        self._budget_s, self._deadline = time_budget_s, float("inf")
        self._reasons: list[str] = []
        self._signalled = 0.0

    def __reduce__(self) -> tuple[type["Halt"], tuple[float | None]]:
        return Halt, (self._budget_s,)

    @property
    def reason(self) -> str | None:
        """Why the search should stop; None while it may continue."""
        return self._reasons[0] if self._reasons else None

    def request(self, reason: str) -> None:
        """Ask the search to end cleanly; its summary gives the reason."""
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
        """Treat the first Ctrl-C or SIGTERM as a request to end cleanly, and a later one as an order to end at once.

        Only the main thread receives signals, so other threads leave the handlers alone.
        """
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
            self._signalled = now
            if not os.isatty(2):  # on a terminal, the live panel says so
                os.write(2, f"{ENDING}\n".encode())  # safe in a handler
        elif now - self._signalled > ONE_PRESS_S:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Generator[None]:
    """Treat SIGTERM, which batch systems send, like Ctrl-C: as a KeyboardInterrupt.

    A launcher may forward a signal that the process has already received, so one right after the first is ignored.
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
