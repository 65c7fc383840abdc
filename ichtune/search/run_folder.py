"""A run's folder on disk: what was asked, the study, and what every trial left behind.

Written by the driver (`search.yaml`, `study.journal`) and by each trial into its own folder, on storage that all
nodes share. It is the one record of a search: ranking reads nothing else, and Ray's own files are only its scratch.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save

from ichtune.errors import InputError
from ichtune.files import replacing

ENDED = "ended"
"""Key of an epoch's record that tells why the trial ended with it; absent while it goes on."""

CHECKPOINT = "checkpoint.pt"


class RunFolder:
    """`runs/<name>/`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, asked: dict[str, Any]) -> "RunFolder":
        """A new run that holds what was asked for.

        Raises:
            InputError: there is a run of that name already, or the folder can't be made.
        """
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise InputError(f"{path}: a run of this name is already here; choose another --name") from None
        except OSError as error:
            raise InputError(f"{path}: can't be made ({error.strerror}); choose another --runs") from None
        run = cls(path)
        run.trials.mkdir()
        with replacing(path / "search.yaml") as file:
            file.write_text(yaml.safe_dump(asked, sort_keys=False, allow_unicode=True))
        return run

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """The run in a folder.

        Raises:
            InputError: there is no run.
        """
        run = cls(Path(path))
        if not (run.path / "search.yaml").is_file():
            raise InputError(
                f"{path}: no search run here (no search.yaml); `ichtune search --name ...` makes one"
            )
        return run

    @property
    def name(self) -> str:
        return self.path.name

    def write_times(self, seconds: dict[str, float]) -> None:
        """Keep where a search's time went."""
        with replacing(self.path / "times.json") as file:
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

    def trial_records(self) -> Iterator["TrialRecord"]:
        """Every trial that finished at least one epoch, by number."""
        for folder in sorted(self.trials.iterdir()):
            record = TrialRecord.read(folder)
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
        """The record in a trial's folder; None where no epoch was finished."""
        try:
            about = json.loads((folder / "trial.json").read_text())
            lines = (folder / "epochs.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return None
        epochs = [json.loads(line) for line in lines]
        return cls(folder=folder, epochs=epochs, **about) if epochs else None


class TrialFolder:
    """The folder that a trial writes into, by the process that trains it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, about: dict[str, Any]) -> dict[str, Any] | None:
        """Say what the trial is; gives the checkpoint of an attempt that broke off, where there is one.

        Epochs that the attempt had finished after its checkpoint are forgotten, as they will come again.
        """
        self.path.mkdir(parents=True, exist_ok=True)
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
        content = torch.load(file, map_location="cpu", weights_only=True)
        return content if content["recipe_hash"] == recipe_hash else None

    def save_checkpoint(self, content: dict[str, Any]) -> None:
        """Keep what the trial goes on from (tensors and plain data), with its recipe's hash."""
        with replacing(self.path / CHECKPOINT) as file:
            torch.save(content, file)

    def drop_checkpoint(self) -> None:
        (self.path / CHECKPOINT).unlink(missing_ok=True)

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
