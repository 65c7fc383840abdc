"""Ctrl-C: the first one lets a search end cleanly, the second ends it at once."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from ray.tune import Stopper


class Interrupt(Stopper):
    """Ray asks it whether to stop; what has been asked for stays with this process, whatever Ray pickles."""

    _requested = threading.Event()

    @property
    def requested(self) -> bool:
        return self._requested.is_set()

    def __call__(self, trial_id: str, result: dict) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.requested

    @contextmanager
    def listening(self) -> Generator[None]:
        """Take Ctrl-C as a request to stop; signals reach the main thread alone, so elsewhere nothing changes."""
        self._requested.clear()
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._take)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self._requested.set()
