"""A run's folder on disk: what was asked, the study, and what every trial left behind.

Written by the driver (`search.yaml`, `study.journal`) and by each trial into its own folder, on storage that all
nodes share. It is the one record of a search: ranking reads nothing else, and Ray's own files are only its scratch.
"""

import fcntl
import json
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ichtune.errors import InputError
from ichtune.files import refuse_ways_out, replacing
from ichtune.runs.records import TrialRecord
from ichtune.runs.remote import Remote, is_uri
from ichtune.runs.request import SearchRequest
from ichtune.runs.trial_folder import TrialFolder
from ichtune.yaml_text import read_yaml, write_yaml

REQUEST = "search.yaml"


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

    @classmethod
    def create(cls, place: str | Path, request: SearchRequest) -> "RunFolder":
        """A new run that holds what was asked for.

        Raises:
            InputError: there is a run of that name already, or the folder can't be made.
        """
        run = cls.at(place)
        run.refuse_if_taken()
        try:
            run.trials.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{place}: can't be made ({error.strerror}); choose another --runs") from None
        run.write(request)
        return run

    @classmethod
    def open(cls, place: str | Path) -> "RunFolder":
        """The run in a folder, or at a URI, from where all of it is brought here.

        Raises:
            InputError: there is no run, or no way to the URI.
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
        if self.remote:
            taken = self.remote.has(REQUEST)
            if not taken:
                shutil.rmtree(self.path, ignore_errors=True)  # a copy of what is not there any more
        else:
            if self.path.is_dir():
                refuse_ways_out(self.path)
            taken = (self.path / REQUEST).exists()
        if taken:
            raise InputError(
                f"{self}: a run of this name is already here; choose another --name, or go on with it by "
                f"--resume {self.name}"
            )
        if self.path.exists() and (
            not self.path.is_dir()
            or any(item.name != "trials" and not item.name.startswith(".") for item in self.path.iterdir())
        ):
            raise InputError(f"{self.path}: something else is already here; choose another --name")

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
        with open(self.path / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"{self.path}: another process is searching in this run; wait for it, or end it first"
                ) from None
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
