"""The signs of life that the process that drives a search leaves in its run."""

import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.json_text import read_json

SIGN: Final = "driver.json"
LOG: Final = "driver.log"
"""What it printed, as lines."""


@dataclass(frozen=True)
class Driver:
    """The last sign of a driver."""

    host: str
    pid: int
    done_before: int
    """The trials that were done when it began."""
    began: str
    """When it began, UTC in ISO 8601; a resumed search has a new driver."""
    seen: str
    """When it gave this sign."""
    ended: str | None = None
    """Why it ended; None while it runs, and after it was killed."""

    @classmethod
    def begin(cls, done: int) -> "Driver":
        """Return this process as a driver that begins with so many trials done."""
        return cls(socket.gethostname(), os.getpid(), done, now(), now())

    @classmethod
    def read(cls, folder: Path) -> "Driver | None":
        """Return the last sign in a run's folder; None of a run from before there were any.

        Raises:
            InputError: the file is damaged.
        """
        file = folder / SIGN
        if not file.is_file():
            return None
        try:
            content: dict[str, Any] = read_json(file)
            sign = cls(**content)
            datetime.fromisoformat(sign.seen)
        except (ValueError, TypeError) as error:
            raise InputError(f"{file}: damaged ({error}); delete it") from None
        return sign

    def write(self, folder: Path, ended: str | None = None) -> None:
        """Leave a sign; a full disk, which others report, is passed over."""
        sign = replace(self, seen=now(), ended=ended)
        with suppress(OSError), replacing(folder / SIGN) as file:
            file.write_text(json.dumps(asdict(sign), indent=2) + "\n")

    @property
    def seconds(self) -> float:
        """How long it had been at work at its last sign."""
        return (datetime.fromisoformat(self.seen) - datetime.fromisoformat(self.began)).total_seconds()

    def seconds_ago(self) -> float:
        """Return how long ago it gave its last sign."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.seen)).total_seconds()


def now() -> str:
    """Return the time, UTC in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
