"""A run's folder on disk: the request, the study, and the files of every trial.

The driver writes `search.yaml` and `study.journal`, and each trial writes into its own folder, on storage shared by
all nodes. This is the only record of a search: ranking reads nothing else, and Ray's own files are scratch.
"""

import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ichtune.errors import InputError
from ichtune.files import refuse_ways_out, replacing
from ichtune.locks import is_locked, locked
from ichtune.remote import FileStates, Remote, is_uri
from ichtune.runs.records import TrialRecord
from ichtune.runs.request import SearchRequest
from ichtune.runs.trial_folder import TrialFolder
from ichtune.yaml_text import read_yaml, write_yaml

REQUEST, LOCK = "search.yaml", ".lock"
JOURNAL, RERUNS = "study.journal", "seeds.jsonl"
DRIVER, LOG = "driver.json", "driver.log"
PROMOTED = "promoted"
"""The folder of what a run promoted from an earlier one."""
EARLY = ("trials", PROMOTED)
"""What is written before the request, with which a folder becomes a run."""


class RunFolder:
    """`runs/<name>/`; for a run at a URI, `path` is this machine's copy."""

    def __init__(self, path: Path, remote: Remote | None = None) -> None:
        self.path, self.remote = path, remote
        self._request: SearchRequest | None = None
        self._sent: FileStates = {}
        """What this process has uploaded, or downloaded."""

    @classmethod
    def at(cls, place: str | Path) -> "RunFolder":
        """Return the folder at a path or URI, whether or not it holds a run yet."""
        if is_uri(place):
            remote = Remote(str(place))
            return cls(remote.local, remote)
        return cls(Path(place).absolute())

    def make(self) -> None:
        """Create the folder; it becomes a run once the request is written.

        Raises:
            InputError: it can't be created.
        """
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self}: can't be created ({error.strerror}); choose another --runs") from None

    def refuse_unwritable(self) -> None:
        """Raise an InputError if its folder can't be created or written; a URI shows it when the request is written."""
        there = next(place for place in (self.path, *self.path.parents) if os.path.lexists(place))
        if not self.remote and not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            why = "can't be written to" if there.is_dir() else "is not a folder"
            raise InputError(f"{there}: {why}, so the run can't be saved there; choose another --runs")

    @classmethod
    def open(cls, place: str | Path, data: str | Path | None = None) -> "RunFolder":
        """Open the run in a folder, or download the one at a URI.

        `data` is where its store is now; it isn't saved.

        Raises:
            InputError: there is no run, the URI can't be reached, or `data` is another store.
        """
        run = cls.at(place)
        if run.remote:
            run = cls(run.remote.watched, run.remote)
        if not run.is_there:
            raise InputError(
                f"{place}: no search run here (no search.yaml); create one with `ichtune search --name ...`"
            )
        run.pull()
        refuse_ways_out(run.path)
        if data:
            run._request = replace(run.request, data=run.request.open_store(data).place)
        return run

    def __str__(self) -> str:
        return self.remote.uri if self.remote else str(self.path)

    def pull(self, wanted: Callable[[str], bool] = lambda name: True) -> None:
        """Download what has changed at the run's URI, if it has one; what has yet to be uploaded from here stays.

        `wanted` chooses files by name.

        Raises:
            InputError: the URI can't be reached.
        """
        if self.remote:
            if self._is_of_another():
                for item in self.path.iterdir():
                    if not item.name.startswith("."):  # such as the lock
                        shutil.rmtree(item) if item.is_dir() else item.unlink()
            self.remote.pull(self.path, wanted, sent=self._sent)

    def _is_of_another(self) -> bool:
        """Whether this copy is that of an earlier run at the URI: its study doesn't begin with the same random ID."""
        assert self.remote
        if not self.journal.is_file():
            return False
        with open(self.journal, "rb") as file:
            begins = file.readline()
        if not self.remote.has(JOURNAL):
            # A driver's own may have yet to be uploaded; and a share that isn't mounted is no new run.
            return self.path == self.remote.watched and self.is_there
        return self.remote.read(JOURNAL, len(begins)) != begins

    def push(self) -> None:
        """Upload the driver's files to the run's URI, if it has one; trials upload their own."""
        if self.remote:
            self.remote.push(self.path, self._sent, apart="trials")

    def trial(self, name: str) -> "TrialFolder":
        """Return the folder of the trial with that name."""
        return TrialFolder(self.trials / name, self.remote / f"trials/{name}" if self.remote else None)

    def refuse_if_taken(self) -> None:
        """Raise an InputError if anything is already there, a run or something else.

        What a driver leaves when killed before writing its request doesn't count.
        """
        self.refuse_other_run()
        if self.remote:
            shutil.rmtree(self.path, ignore_errors=True)  # a copy of what no longer exists
        elif self.path.is_dir():
            refuse_ways_out(self.path)
        if self.path.exists() and (
            not self.path.is_dir()
            or any(item.name not in EARLY and not item.name.startswith(".") for item in self.path.iterdir())
        ):
            raise InputError(f"{self.path}: something else is already here; choose another --name")

    def refuse_other_run(self) -> None:
        """Raise an InputError if there is a run already."""
        if self.is_there:
            raise InputError(
                f"{self}: a run of this name is already here; choose another --name, or continue it with "
                f"--resume {self.name}"
            )

    def write(self, request: SearchRequest) -> None:
        """Write `search.yaml`."""
        with replacing(self.path / REQUEST) as file:
            file.write_text(write_yaml(request.as_dict()), encoding="utf-8")
        self._request = request
        self.push()

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other drivers out while the context lasts.

        Raises:
            InputError: another process is searching in this run.
        """
        refusal = f"{self}: another process is searching in this run; wait for it, or stop it first"
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._lock, refusal):
            yield

    @property
    def is_there(self) -> bool:
        """Whether its folder or URI holds a run by now."""
        return self.remote.has(REQUEST) if self.remote else (self.path / REQUEST).exists()

    @property
    def is_searching(self) -> bool:
        """Whether a process on this machine is searching in this run right now."""
        return is_locked(self._lock)

    @property
    def _lock(self) -> Path:
        """The lock of a driver on this machine, which the copy that is watched shares."""
        return (self.remote.local if self.remote else self.path) / LOCK

    def refuse_while_searching(self, option: str) -> None:
        """Raise an InputError while a search is running, since its trials aren't final yet."""
        if self.is_searching:
            raise InputError(
                f"{option}: a search is running in {self}, and its trials may still change; wait until it ends"
            )

    @contextmanager
    def claimed(self, work: str) -> Generator[None]:
        """Keep other processes from doing the same work on this run while the context lasts.

        Raises:
            InputError: another process is doing it.
        """
        name = f".{work.replace(' ', '-')}.lock"
        with locked(self.path / name, f"{self}: another process is running its {work}; wait for it"):
            yield

    @property
    def runs(self) -> str:
        """Path or URI of the parent folder."""
        return self.remote.parent.uri if self.remote else str(self.path.parent)

    @property
    def name(self) -> str:
        return self.path.name

    def note(self, line: str) -> None:
        """Add a line to the driver's log; ignores a full disk, which is reported otherwise."""
        with suppress(OSError), open(self.path / LOG, "a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")

    def write_times(self, seconds: dict[str, float]) -> None:
        """Save where a search's time went; ignores a full disk, which has already been reported."""
        with suppress(OSError), replacing(self.path / "times.json") as file:
            file.write_text(json.dumps(seconds, indent=2))

    @property
    def request(self) -> SearchRequest:
        """The search's request, read once.

        Raises:
            InputError: `search.yaml` is damaged.
        """
        if self._request is None:
            file = self.path / REQUEST
            self._request = SearchRequest.parse(read_yaml(file), str(file))
        return self._request

    @property
    def journal(self) -> Path:
        """Optuna's journal of the study."""
        return self.path / JOURNAL

    @property
    def trials(self) -> Path:
        """The parent of the trials' folders; open this one in TensorBoard."""
        return self.path / "trials"

    @property
    def results(self) -> Path:
        return self.path / "results"

    def trial_folders(self) -> Iterator["TrialFolder"]:
        """Yield the folder of every trial that began, by number."""
        names = sorted(path.name for path in self.trials.glob("[0-9]*") if path.is_dir())
        yield from (self.trial(name) for name in names if name.partition("-")[0].isdecimal())

    def trial_records(self) -> Iterator["TrialRecord"]:
        """Yield the record of every trial that finished at least one epoch, by number."""
        for folder in self.trial_folders():
            record = TrialRecord.read(folder.path)
            if record is not None:
                yield record
