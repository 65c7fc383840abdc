"""Weights & Biases as a tracker: a group per search, whose runs are the search itself, its trials and its models."""

import hashlib
import json
import math
import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.json_text import read_json
from ichtune.runs.folder import RunFolder
from ichtune.tracking.tracked_runs import SEARCH, State, TrackedRun, tracked_runs

OFFLINE, ONLINE = "offline", "online"
_LEDGER: Final = "sent.json"


class WandbTracker:
    """Runs of W&B, each written at once when it is final: offline into the run's folder, or to the server.

    What was sent is kept in `RUN/wandb/sent.json`, as offline nothing else knows.
    """

    def __init__(self, mode: str, folder: Path) -> None:
        """`mode` is `offline` or `online`; `folder` is that of the ichtune run, on this machine."""
        self.mode, self.folder = mode, folder
        self.project = os.environ.get("WANDB_PROJECT") or "ichtune"

    def __str__(self) -> str:
        if self.mode == OFFLINE:
            return f"W&B offline, in {self.folder / 'wandb'}"
        return f"W&B online, project {self.project}"

    @property
    def later(self) -> str:
        """What `ichtune log --to` takes to send to the same place."""
        return f"wandb:{self.mode}"

    @property
    def look(self) -> str:
        """How to look at it."""
        if self.mode == ONLINE:
            return f"a browser, group {self.folder.name}"
        unsynced = shlex.quote(str(self.folder / "wandb")) + "/offline-run-*"
        return f"wandb sync {unsynced} (which uploads it)"

    def check(self) -> None:
        """Raise an InputError if wandb isn't installed or in use, or the server doesn't accept this user.

        Writes nothing.
        """
        wandb = _module()
        if wandb.run is not None:
            raise InputError("--log wandb: a run of your own is active in this process; finish it first")
        if self.mode == ONLINE:
            try:
                if not wandb.Api(timeout=10).viewer:
                    raise ValueError("the API key isn't accepted")
            except Exception as error:  # wandb's own, and those of the libraries below it
                raise InputError(
                    f"--log wandb:online: can't be used ({error}); `wandb login` first, or --log wandb:offline"
                ) from None

    def send(self, search: str, run: RunFolder) -> None:
        """Send every run that is final, and a search that has stopped, in versions that were not sent yet.

        Raises:
            Exception: wandb's own, if the server has gone away.
        """
        sent = self._ledger().get(self._place, {})
        new = [tracked for tracked in tracked_runs(run, sent) if self._is_due(tracked, sent)]
        if not new:
            return
        # Not in the run's folder: what wandb has open there is full of links, and unusable if it is killed.
        with TemporaryDirectory(prefix="ichtune-wandb-") as working:
            try:
                ids = [self._write(search, tracked, working) for tracked in new]
            finally:
                _module().teardown()  # `finish` alone returns before everything is in the files
            for run_id in ids:
                self._drop_unsynced(run_id)
            for made in Path(working).glob("wandb/offline-run-*"):
                self._keep(made)
        self._note(sent | {tracked.key: tracked.version for tracked in new})

    def _is_due(self, tracked: TrackedRun, sent: Mapping[str, str]) -> bool:
        done = tracked.state.is_final or (tracked.kind == SEARCH and tracked.state == State.STOPPED)
        return done and sent.get(tracked.key) != tracked.version

    @property
    def _place(self) -> str:
        """Where it is sent to, for the ledger."""
        server = os.environ.get("WANDB_BASE_URL", "")
        return OFFLINE if self.mode == OFFLINE else f"{server} {self.project}".strip()

    def _ledger(self) -> dict[str, dict[str, str]]:
        file = self.folder / "wandb" / _LEDGER
        return read_json(file) if file.is_file() else {}

    def _note(self, sent: Mapping[str, str]) -> None:
        ledger = self._ledger() | {self._place: dict(sent)}
        (self.folder / "wandb").mkdir(exist_ok=True)
        with replacing(self.folder / "wandb" / _LEDGER) as file:
            file.write_text(json.dumps(ledger, indent=2))

    def _drop_unsynced(self, run_id: str) -> None:
        """Remove an earlier version of a run that was not uploaded, or one that was written but not noted."""
        for folder in (self.folder / "wandb").glob(f"offline-run-*-{run_id}"):
            if not any(folder.glob("*.synced")):
                shutil.rmtree(folder)

    def _write(self, search: str, tracked: TrackedRun, working: str) -> str:
        """Write a run below the folder `working`, or send it to the server; returns its ID."""
        wandb = _module()
        run_id = hashlib.sha256(f"{search} {tracked.key}".encode()).hexdigest()[:16]
        run = wandb.init(
            project=self.project,
            dir=working,
            id=run_id,
            name=tracked.name,
            group=self.folder.name,
            job_type=tracked.kind,
            tags=[text for name, text in tracked.tags.items() if name in ("ended", "point")],
            config=tracked.params | tracked.tags,
            mode=self.mode,
            resume="allow",
            reinit="create_new",
            settings=_settings(wandb),
        )
        for step in tracked.steps:
            if step.number >= run.step:  # a server may have some of them
                run.log(_finite(step.metrics), step=step.number)
        run.summary.update(_finite(tracked.scores))
        if tracked.files:
            artifact = wandb.Artifact(f"{tracked.kind}-{run_id}", tracked.kind)
            for name, file in tracked.files.items():
                artifact.add_file(str(file), name, policy="immutable", skip_cache=True)  # no copies
            run.log_artifact(artifact)
        run.finish(exit_code=int(tracked.state == State.FAILED))
        return run_id

    def _keep(self, made: Path) -> None:
        """Move what is to be synchronized into the run's folder, without wandb's logs."""
        shutil.rmtree(made / "logs", ignore_errors=True)
        (self.folder / "wandb").mkdir(exist_ok=True)
        part = self.folder / "wandb" / f".{made.name}"
        shutil.copytree(made, part, dirs_exist_ok=True)
        part.rename(self.folder / "wandb" / made.name)


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _module() -> Any:
    """wandb, which starts a process of its own.

    Raises:
        InputError: it isn't installed.
    """
    os.environ.setdefault(
        "WANDB_ERROR_REPORTING", "false"
    )  # else its own failures are reported to its makers
    try:
        import wandb
    except ImportError as error:
        raise InputError(f"--log wandb: needs an extra ({error}); pip install 'ichtune[wandb]'") from None
    return wandb


def _settings(wandb: Any) -> Any:
    """Only what ichtune sends: no console, no code, no facts of the machine; and no endless retries."""
    return wandb.Settings(
        console="off",
        silent=True,
        host="-",  # names of machines can name a hospital
        disable_git=True,
        disable_code=True,
        disable_job_creation=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        x_graphql_retry_max=2,
        x_file_stream_retry_max=2,
        x_file_transfer_retry_max=2,
        init_timeout=30,
    )
