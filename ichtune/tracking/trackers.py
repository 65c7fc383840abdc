"""Which trackers `--log` names."""

import os
from pathlib import Path
from typing import Protocol

from ichtune.errors import InputError
from ichtune.remote import is_uri
from ichtune.runs.folder import RunFolder
from ichtune.tracking.mlflow_tracker import SQLITE, MlflowTracker
from ichtune.tracking.wandb_tracker import OFFLINE, ONLINE, WandbTracker
from ichtune.wording import not_one_of

KINDS = ("mlflow", "wandb")
NONE = "none"


class Tracker(Protocol):
    """A place that shows runs."""

    @property
    def later(self) -> str:
        """What `ichtune log --to` takes to send to the same place."""
        ...

    @property
    def look(self) -> str:
        """How to look at it."""
        ...

    def check(self) -> None:
        """Raise an InputError if it can't be used; writes nothing."""

    def send(self, search: str, run: RunFolder) -> None:
        """Send what it lacks of a run; sending twice leaves it as it is after once."""


def trackers(log: str | None, run: RunFolder) -> list[Tracker]:
    """Return the trackers of a run that `--log` names: `mlflow`, `mlflow:URI`, `wandb`, `wandb:online`, by commas.

    Raises:
        InputError: one is unknown, or isn't named as it should be.
    """
    if log in (None, NONE):
        return []
    return [_tracker(text.strip(), run) for text in log.split(",")]


def checked(log: str | None, run: RunFolder) -> list[Tracker]:
    """Like `trackers`, but they are also checked: installed, and reachable.

    Raises:
        InputError: one can't be used.
    """
    found = trackers(log, run)
    for tracker in found:
        tracker.check()
    return found


def resolved(found: list[Tracker]) -> str | None:
    """Return the value of `--log` that names these trackers whatever the folder and the environment are."""
    return ",".join(tracker.later for tracker in found) or None


def _tracker(text: str, run: RunFolder) -> Tracker:
    kind, _, place = text.partition(":")
    if kind == "mlflow":
        return MlflowTracker(place or os.environ.get("MLFLOW_TRACKING_URI") or _beside(run))
    if kind == "wandb":
        mode = place or os.environ.get("WANDB_MODE") or OFFLINE
        if mode not in (OFFLINE, ONLINE):
            name = "--log wandb" if place else "WANDB_MODE"
            raise InputError(f"{name}: {not_one_of(mode, (OFFLINE, ONLINE))}")
        return WandbTracker(mode, run.path)
    raise InputError(f"--log: {not_one_of(kind, KINDS)}")


def _beside(run: RunFolder) -> str:
    """The database of all runs of a folder."""
    if is_uri(run.runs):
        raise InputError(
            f"--log mlflow: needs a place of its own (mlflow:URI), as the runs are at {run.runs}"
        )
    return f"{SQLITE}{Path(run.runs) / 'mlflow.db'}"
