"""A trial's folder: what the process that trains it writes, and resumes from."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ichtune.arrays import map_array
from ichtune.checksums import agrees, checksum_line, sha256_of
from ichtune.errors import InputError
from ichtune.files import read_bounded, replacing
from ichtune.json_text import MOST_BYTES
from ichtune.recipe import Recipe, recipe_hash
from ichtune.remote import FileStates, Remote
from ichtune.runs.records import ABOUT, EPOCHS, EpochRecord, TrialRecord

CHECKPOINT, ERRORS, MICRO_BATCHES = "checkpoint.pt", "errors.txt", "batch_parts"
HEADS, OUT_OF_FOLD, SUMS = "best.safetensors", "out_of_fold.npy", "sha256sums"


class TrialFolder:
    """The folder that a trial's process writes to, uploaded to its URI from time to time."""

    def __init__(self, path: Path, remote: Remote | None = None) -> None:
        self.path, self.remote = path, remote
        self._sent: FileStates = {}
        """What this process has uploaded."""

    def push(self) -> None:
        """Upload new files to the trial's URI, if it has one."""
        if self.remote:
            self.remote.push(self.path, self._sent)

    @property
    def number(self) -> int:
        """The trial's number, with which the folder's name begins."""
        return int(self.path.name.partition("-")[0])

    @property
    def checkpoint(self) -> Path:
        """The file from which the next attempt resumes."""
        return self.path / CHECKPOINT

    def fetch(self) -> None:
        """Download what an attempt on another machine left."""
        self.path.mkdir(parents=True, exist_ok=True)
        if self.remote:
            self.remote.pull(self.path)

    def begin(
        self, number: int, params: dict[str, Any], recipe: Recipe, point: str | None, *, done: int
    ) -> None:
        """Write the trial's parameters and recipe, and keep the first `done` epochs of an earlier attempt.

        Epochs that it finished after its checkpoint are dropped, as they will be repeated.
        """
        about = {
            "number": number,
            "params": params,
            "recipe": recipe.model_dump(mode="json"),
            "recipe_hash": recipe_hash(recipe),
            "point": point,
        }
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / SUMS).unlink(missing_ok=True)
        with replacing(self.path / ABOUT) as file:
            file.write_text(json.dumps(about, indent=2))
        kept = (self.path / EPOCHS).read_text().splitlines(keepends=True)[:done] if done else []
        with replacing(self.path / EPOCHS) as file:
            file.write_text("".join(kept))

    def drop_checkpoint(self) -> None:
        (self.path / CHECKPOINT).unlink(missing_ok=True)
        if self.remote:
            self.remote.drop(CHECKPOINT)
            self._sent.pop(CHECKPOINT, None)

    def keep_error(self, text: str) -> None:
        """Append an attempt's traceback to the earlier ones."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / ERRORS, "a") as file:
            file.write(f"--- {datetime.now(UTC).isoformat(timespec='seconds')}\n{text.strip()}\n\n")
        self.push()

    def last_error(self) -> str:
        """Return the last line of the last attempt's traceback; empty if there is none."""
        file = self.path / ERRORS
        lines = read_bounded(file, MOST_BYTES).splitlines() if file.is_file() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    @property
    def micro_batches(self) -> int:
        """How many micro-batches each batch is split into; more than one after running out of memory."""
        file = self.path / MICRO_BATCHES
        return int(file.read_text()) if file.is_file() else 1

    def split_batches(self) -> int:
        """Double the number of micro-batches for the next attempt, and return it."""
        count = 2 * self.micro_batches
        self.path.mkdir(parents=True, exist_ok=True)
        with replacing(self.path / MICRO_BATCHES) as file:
            file.write_text(str(count))
        self.push()
        return count

    def add_epoch(self, record: EpochRecord) -> None:
        """Append an epoch, unless it is there already: an attempt whose node was given up may outlive it for a moment.

        Both have the same numbers, as training depends on nothing but the recipe and the checkpoint.
        """
        with open(self.path / EPOCHS, "a+") as file:
            file.seek(0)
            if sum(1 for _ in file) < record.epoch:
                file.write(record.to_json() + "\n")

    def objectives(self) -> list[float]:
        """Return the best mean so far after each finished epoch."""
        record = TrialRecord.read(self.path)
        return [epoch.objective for epoch in record.epochs] if record else []

    def keep_heads(self, heads: bytes) -> None:
        """Save the best epoch's heads (safetensors)."""
        with replacing(self.path / HEADS) as file:
            file.write_bytes(heads)

    def keep_logits(self, logits: np.ndarray) -> None:
        """Save the out-of-fold logits `[R, N, 6]` of R rounds, NaN for slices that no fold validates on.

        They are kept as float16; those of a single round as `[N, 6]`.
        """
        logits = logits[0] if len(logits) == 1 else logits
        with replacing(self.path / OUT_OF_FOLD) as file, open(file, "wb") as stream:
            # Beyond float16's range a probability is 0 or 1 anyway.
            np.save(stream, np.clip(logits, -6e4, 6e4).astype(np.float16))

    def kept_logits(self) -> np.ndarray | None:
        """Return the out-of-fold logits of an interrupted attempt, float32 `[R, N, 6]`; None if they can't be read."""
        try:
            logits = map_array(self.path / OUT_OF_FOLD).astype(np.float32)
        except (OSError, ValueError, EOFError):
            return None
        return logits if logits.ndim == 3 else logits[np.newaxis]

    def seal(self) -> None:
        """Write checksums of what the trial kept, once nothing more is to come."""
        kept = [file for file in (self.path / HEADS, self.path / OUT_OF_FOLD) if file.is_file()]
        with replacing(self.path / SUMS) as file:
            file.write_text("".join(checksum_line(sha256_of(one), one) for one in kept))


def kept_file(folder: Path, name: str, mend: str) -> Path | None:
    """Return a file that a trial kept, after comparing it with its checksum; None if it kept none.

    Raises:
        InputError: it has changed; `mend` completes the message.
    """
    file = folder / name
    if not file.is_file():
        return None
    if not agrees(file, folder / SUMS):
        raise InputError(f"{file}: damaged (its checksum differs); {mend}")
    return file


def slug(number: int, words: list[str]) -> str:
    """Return a trial's folder name: its number and what distinguishes it, in characters valid on any file system."""
    text = "-".join(re.sub(r"[^A-Za-z0-9.=+]+", "-", word).strip("-") for word in words)
    return f"{number:04d}-{text}"[:60].rstrip("-.")
