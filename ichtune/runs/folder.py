"""A run's folder on disk: what was asked, the study, and what every trial left behind.

Written by the driver (`search.yaml`, `study.journal`) and by each trial into its own folder, on storage that all
nodes share. It is the one record of a search: ranking reads nothing else, and Ray's own files are only its scratch.
"""

import json
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ichtune.errors import InputError
from ichtune.files import refuse_ways_out, replacing
from ichtune.locks import is_locked, locked
from ichtune.runs.records import TrialRecord
from ichtune.runs.remote import Remote, is_uri
from ichtune.runs.request import SearchRequest
from ichtune.runs.trial_folder import TrialFolder
from ichtune.yaml_text import read_yaml, write_yaml

REQUEST, LOCK = "search.yaml", ".lock"


class RunFolder:
    """`runs/<name>/`; of a run at a URI `path` is this machine's copy of it."""

    def __init__(self, path: Path, remote: Remote | None = None) -> None:
        self.path, self.remote = path, remote
        self._request: SearchRequest | None = None

    @classmethod
    def at(cls, place: str | Path) -> "RunFolder":
        """The folder at a path or a URI, whether there is a run yet or not."""
        if is_uri(place):
            remote = Remote(str(place))
            return cls(remote.local, remote)
        return cls(Path(place).absolute())

    def make(self) -> None:
        """Make the folder, which is no run before it is written what was asked for.

        Raises:
            InputError: it can't be made.
        """
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self}: can't be made ({error.strerror}); choose another --runs") from None

    @classmethod
    def open(cls, place: str | Path, data: Path | None = None) -> "RunFolder":
        """The run in a folder, or at a URI, from where all of it is brought here.

        `data` is where its store is now, which is not written down.

        Raises:
            InputError: there is no run, no way to the URI, or another store at `data`.
        """
        run = cls.at(place)
        if run.remote:
            run.remote.pull(run.path)
        if run.path.is_dir():
            refuse_ways_out(run.path)
        if not (run.path / REQUEST).is_file():
            raise InputError(
                f"{place}: no search run here (no search.yaml); `ichtune search --name ...` makes one"
            )
        if data:
            run._request = replace(run.request, data=run.request.open_store(data).path)
        return run

    def __str__(self) -> str:
        return self.remote.uri if self.remote else str(self.path)

    def push(self) -> None:
        """Send what the driver writes to the run's URI, if it has one; trials send what is theirs."""
        if self.remote:
            self.remote.push(self.path, apart="trials")

    def trial(self, name: str) -> "TrialFolder":
        """The folder of the trial of that name."""
        return TrialFolder(self.trials / name, self.remote / f"trials/{name}" if self.remote else None)

    def refuse_if_taken(self) -> None:
        """Raise an InputError where something is already there, be it a run or not.

        What a driver leaves that was killed before it wrote down what it was asked for is nothing.
        """
        self.refuse_other_run()
        if self.remote:
            shutil.rmtree(self.path, ignore_errors=True)  # a copy of what is not there any more
        elif self.path.is_dir():
            refuse_ways_out(self.path)
        if self.path.exists() and (
            not self.path.is_dir()
            or any(item.name != "trials" and not item.name.startswith(".") for item in self.path.iterdir())
        ):
            raise InputError(f"{self.path}: something else is already here; choose another --name")

    def refuse_other_run(self) -> None:
        """Raise an InputError where there is a run already."""
        if self.remote.has(REQUEST) if self.remote else (self.path / REQUEST).exists():
            raise InputError(
                f"{self}: a run of this name is already here; choose another --name, or go on with it by "
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
        """Keep other drivers out, as long as this process lives.

        Raises:
            InputError: another process is searching in this run.
        """
        refusal = f"{self.path}: another process is searching in this run; wait for it, or end it first"
        with locked(self.path / LOCK, refusal):
            yield

    @property
    def is_searching(self) -> bool:
        """Whether a process of this machine is searching in this run at the moment."""
        return is_locked(self.path / LOCK)

    def refuse_while_searching(self, option: str) -> None:
        """Raise an InputError while a search goes on: what is kept for a trial must be of its last epoch."""
        if self.is_searching:
            raise InputError(
                f"{option}: a search is going on in {self}, and its trials may still change; wait for its end"
            )

    @contextmanager
    def claimed(self, work: str) -> Generator[None]:
        """Keep other processes from doing the same work on this run, as long as this process lives.

        Raises:
            InputError: another process is at it.
        """
        name = f".{work.replace(' ', '-')}.lock"
        with locked(self.path / name, f"{self}: another process is at its {work} now; wait for it"):
            yield

    @property
    def runs(self) -> str:
        """The place of the folder that this one is in."""
        return self.remote.parent.uri if self.remote else str(self.path.parent)

    @property
    def name(self) -> str:
        return self.path.name

    def write_times(self, seconds: dict[str, float]) -> None:
        """Keep where a search's time went; a full disk has already been reported."""
        with suppress(OSError), replacing(self.path / "times.json") as file:
            file.write_text(json.dumps(seconds, indent=2))

    @property
    def request(self) -> SearchRequest:
        """What the search was asked for, read once.

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
        return self.path / "study.journal"

    @property
    def trials(self) -> Path:
        """Where each trial has its folder; TensorBoard reads this one."""
        return self.path / "trials"

    @property
    def results(self) -> Path:
        return self.path / "results"

    def trial_folders(self) -> Iterator["TrialFolder"]:
        """Every trial that began, by number."""
        names = sorted(path.name for path in self.trials.glob("[0-9]*") if path.is_dir())
        yield from (self.trial(name) for name in names if name.partition("-")[0].isdecimal())

    def trial_records(self) -> Iterator["TrialRecord"]:
        """Every trial that finished at least one epoch, by number."""
        for folder in self.trial_folders():
            record = TrialRecord.read(folder.path)
            if record is not None:
                yield record
