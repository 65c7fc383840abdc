"""What ends a search before its time: Ctrl-C, or something that would break every trial alike."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar

from ray.tune import Stopper

from ichtune.search.study import INTERRUPTED

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Halt(Stopper):
    """Ray asks it whether to stop; what has been asked for stays with this process, whatever Ray pickles."""

    _reasons: ClassVar[list[str]] = []

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
        return bool(self._reasons)

    @contextmanager
    def listening(self) -> Generator[None]:
        """Take Ctrl-C or SIGTERM as a request to end cleanly, and a second one as an order to end at once.

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
        if self._reasons:
            raise KeyboardInterrupt
        self.request(INTERRUPTED)
