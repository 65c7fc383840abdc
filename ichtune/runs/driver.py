"""The process that drives a search, as it reports itself in the run's folder."""

import json
import os
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

from ichtune.files import replacing
from ichtune.json_text import read_json
from ichtune.runs.folder import DRIVER, RunFolder

EVERY_S = 5.0
"""How often a driver reports, and uploads its files: what is lost at most if its machine dies."""
LOST_S = 60.0
"""A driver that has not reported for so long is taken for dead."""


@dataclass(frozen=True)
class Driver:
    """A driver's last report; times in seconds since 1970."""

    host: str
    process: int
    began: float
    done_before: int
    """Trials that were done when it began."""
    seen: float
    ended: str | None = None
    """How it ended; None if it had not."""

    @classmethod
    def of(cls, run: RunFolder) -> "Driver | None":
        """Return the last driver of a run; None if none has reported.

        Raises:
            InputError: its file is damaged.
        """
        try:
            return cls(**read_json(run.path / DRIVER))
        except (FileNotFoundError, TypeError):  # none, or one of another version
            return None

    @property
    def is_alive(self) -> bool:
        """Whether it reported lately, by the clocks of its machine and this one."""
        return self.ended is None and time.time() - self.seen < LOST_S


@contextmanager
def reporting(run: RunFolder, done_before: int) -> Generator[None]:
    """Report every few seconds that this process drives the run's search, and upload what it writes there."""
    began, over = time.time(), threading.Event()

    def report(ended: str | None) -> None:
        now = Driver(socket.gethostname(), os.getpid(), began, done_before, time.time(), ended)
        with suppress(
            OSError
        ):  # a full disk or a network that is down for a moment is told by what needs them
            with replacing(run.path / DRIVER) as file:
                file.write_text(json.dumps(asdict(now)), encoding="utf-8")
            run.push()

    def beat() -> None:
        report(None)
        while not over.wait(EVERY_S):
            report(None)

    run.note(f"searching on {socket.gethostname()}, process {os.getpid()}")
    thread = threading.Thread(target=beat, name="driver's reports", daemon=True)
    thread.start()
    ended = "ended"
    try:
        yield
    except BaseException as error:
        ended = f"ended by {type(error).__name__}: {error}".strip(": ")
        raise
    finally:
        over.set()
        thread.join()
        run.note(ended)
        report(ended)
