"""A run's folder on disk: what was asked, the study, and what every trial left behind.

Written by the driver (`search.yaml`, `study.journal`) and by each trial into its own folder, on storage that all
nodes share. It is the one record of a search: ranking reads nothing else, and Ray's own files are only its scratch.
"""

import fcntl
import io
import json
import pickle
import re
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save

from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.runs.remote import Remote, is_uri

ENDED = "ended"
"""Key of an epoch's record that tells why the trial ended with it; absent while it goes on."""

CHECKPOINT, ERRORS, PARTS = "checkpoint.pt", "errors.txt", "batch_parts"


class RunFolder:
    """`runs/<name>/`; of a run at a URI `path` is this machine's copy of it."""

    def __init__(self, path: Path, remote: Remote | None = None) -> None:
        self.path, self.remote = path, remote

    @classmethod
    def at(cls, place: str | Path) -> "RunFolder":
        """The folder at a path or a URI, whether there is a run yet or not."""
        if is_uri(place):
            remote = Remote(str(place))
            return cls(remote.local, remote)
        return cls(Path(place).absolute())

    @classmethod
    def create(cls, place: str | Path, asked: dict[str, Any]) -> "RunFolder":
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
        run.write_asked(asked)
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
        if not (run.path / "search.yaml").is_file():
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
        """Raise an InputError where something stands already, be it a run or not.

        What a driver leaves that was killed before it wrote down what it was asked for is nothing.
        """
        if self.remote:
            taken = self.remote.has("search.yaml")
            if not taken:
                shutil.rmtree(self.path, ignore_errors=True)  # a copy of what is not there any more
        else:
            taken = (self.path / "search.yaml").exists()
        if taken:
            raise InputError(
                f"{self}: a run of this name is already here; choose another --name, or go on with it by "
                f"--resume {self.name}"
            )
        if self.path.exists() and (
            not self.path.is_dir()
            or any(item.name != "trials" and not item.name.startswith(".") for item in self.path.iterdir())
        ):
            raise InputError(f"{self.path}: something else stands here already; choose another --name")

    def write_asked(self, asked: dict[str, Any]) -> None:
        """Write `search.yaml`."""
        with replacing(self.path / "search.yaml") as file:
            file.write_text(yaml.safe_dump(asked, sort_keys=False, allow_unicode=True))
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
        """Keep where a search's time went; a disk without room for it has already been told of."""
        with suppress(OSError), replacing(self.path / "times.json") as file:
            file.write_text(json.dumps(seconds, indent=2))

    @property
    def asked(self) -> dict[str, Any]:
        """What `search.yaml` holds: everything that was asked, resolved."""
        return yaml.safe_load((self.path / "search.yaml").read_text())

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
        yield from (self.trial(path.name) for path in sorted(self.trials.glob("[0-9]*")))

    def trial_records(self) -> Iterator["TrialRecord"]:
        """Every trial that finished at least one epoch, by number."""
        for folder in self.trial_folders():
            record = TrialRecord.read(folder.path)
            if record is not None:
                yield record


@dataclass(frozen=True)
class TrialRecord:
    """What a trial left: its recipe, a record an epoch, and the out-of-fold logits of its best epoch."""

    folder: Path
    number: int
    params: dict[str, Any]
    recipe: dict[str, Any]
    recipe_hash: str
    point: str | None
    epochs: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> "TrialRecord | None":
        """The record in a trial's folder; None where no epoch was finished.

        Half a line at the end is an epoch that a killed process, or a full disk, didn't let finish.
        """
        try:
            about = json.loads((folder / "trial.json").read_text())
            lines = (folder / "epochs.jsonl").read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return None
        epochs = [json.loads(line) for line in lines if line.endswith("\n")]
        return cls(folder=folder, epochs=epochs, **about) if epochs else None


class TrialFolder:
    """The folder that a trial writes into, by the process that trains it; sent to its URI now and then."""

    def __init__(self, path: Path, remote: Remote | None = None) -> None:
        self.path, self.remote = path, remote

    def push(self) -> None:
        """Send what is new to the trial's URI, if it has one."""
        if self.remote:
            self.remote.push(self.path)

    @property
    def number(self) -> int:
        """The trial's, which its name begins with."""
        return int(self.path.name.partition("-")[0])

    def begin(self, about: dict[str, Any]) -> dict[str, Any] | None:
        """Say what the trial is; gives the checkpoint of an attempt that broke off, where there is one.

        Epochs that the attempt had finished after its checkpoint are forgotten, as they will come again.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self.remote:
            self.remote.pull(self.path)  # what an attempt on another machine left
        checkpoint = self._checkpoint(about["recipe_hash"])
        with replacing(self.path / "trial.json") as file:
            file.write_text(json.dumps(about, indent=2))
        done = checkpoint["state"]["epoch"] if checkpoint else 0
        kept = (self.path / "epochs.jsonl").read_text().splitlines(keepends=True)[:done] if done else []
        with replacing(self.path / "epochs.jsonl") as file:
            file.write_text("".join(kept))
        return checkpoint

    def _checkpoint(self, recipe_hash: str) -> dict[str, Any] | None:
        file = self.path / CHECKPOINT
        if not file.is_file():
            return None
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)  # never code
        except (pickle.UnpicklingError, EOFError, RuntimeError):
            return None  # damaged, or not a checkpoint of ours: the trial starts over
        return content if content["recipe_hash"] == recipe_hash else None

    def save_checkpoint(self, content: dict[str, Any]) -> None:
        """Keep what the trial goes on from (tensors and plain data), with its recipe's hash."""
        buffer = io.BytesIO()  # torch, writing a file, would hide that a disk is full
        torch.save(content, buffer)
        with replacing(self.path / CHECKPOINT) as file:
            file.write_bytes(buffer.getbuffer())
        self.push()

    def drop_checkpoint(self) -> None:
        (self.path / CHECKPOINT).unlink(missing_ok=True)
        if self.remote:
            self.remote.drop(CHECKPOINT)

    def keep_error(self, text: str) -> None:
        """Add an attempt's traceback to those of the ones before."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / ERRORS, "a") as file:
            file.write(f"--- {datetime.now(UTC).isoformat(timespec='seconds')}\n{text.strip()}\n\n")
        self.push()

    def last_error(self) -> str:
        """The last line of the last attempt's traceback."""
        lines = (self.path / ERRORS).read_text().splitlines()
        return next(line.strip() for line in reversed(lines) if line.strip())

    @property
    def batch_parts(self) -> int:
        """In how many parts each batch goes through the network; more than one after an out-of-memory."""
        file = self.path / PARTS
        return int(file.read_text()) if file.is_file() else 1

    def split_batches(self) -> int:
        """Let the next attempt halve the parts of its batches once more; gives their number."""
        parts = 2 * self.batch_parts
        self.path.mkdir(parents=True, exist_ok=True)
        with replacing(self.path / PARTS) as file:
            file.write_text(str(parts))
        self.push()
        return parts

    def add_epoch(self, record: dict[str, Any]) -> None:
        with open(self.path / "epochs.jsonl", "a") as file:
            file.write(json.dumps(record) + "\n")

    def keep_best(self, heads: dict[str, Any], logits: np.ndarray) -> None:
        """Keep the best epoch's heads, and its out-of-fold logits (float16 `[N, 6]`, NaN where no fold validates)."""
        with replacing(self.path / "best.safetensors") as file:
            file.write_bytes(save(heads))
        with replacing(self.path / "out_of_fold.npy") as file, open(file, "wb") as stream:
            # Beyond float16's range a probability is 0 or 1 all the same.
            np.save(stream, np.clip(logits, -6e4, 6e4).astype(np.float16))


def slug(number: int, words: list[str]) -> str:
    """A trial's folder name: its number and what tells it apart, of characters that any file system takes."""
    text = "-".join(re.sub(r"[^A-Za-z0-9.=+]+", "-", word).strip("-") for word in words)
    return f"{number:04d}-{text}"[:60].rstrip("-.")
