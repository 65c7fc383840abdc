"""An unfinished store: slices and a journal that grow together, so that a killed run can resume."""

import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from ichtune.data.reading import Read
from ichtune.locks import locked

HEADER_BYTES = 128  # space for numpy's header; the number of slices is known only at the end


@contextmanager
def preparing(store: Path) -> Generator[None]:
    """Keep other processes from preparing the same store.

    Raises:
        InputError: another process is preparing it.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    refusal = f"{store}: another process is preparing this store; wait for it, or choose another folder"
    there = store.resolve()  # different spellings of a path are the same store
    with locked(there.with_name(f".{there.name}.lock"), refusal):
        yield


class Staging:
    """`STORE.partial/`: `plan.json` (what is being made), `journal.jsonl` (a line per chunk), `store/` (the result).

    Pixels arrive as files in `chunks/`, and are appended in order.

    A journal line is written after its pixels; anything after the last complete line is cut off when resuming, and
    anything from a rejected file on that has been repaired.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.store = path / "store"
        self.incoming = self.incoming_below(path)
        self.size = size
        self.entries = 0
        self.slices = 0
        self.chunks = 0

    @staticmethod
    def incoming_below(path: Path) -> Path:
        """Return where chunks of pixels arrive in a staging."""
        return path / "chunks"

    @classmethod
    def begin(
        cls, path: Path, size: int, plan: dict[str, object], can_read: Callable[[int], bool]
    ) -> "Staging":
        """Resume the staging at `path` if it was made with the same plan, else start over.

        It resumes before the first entry that was rejected and that `can_read` finds readable now.
        """
        staging = cls(path, size)
        described = json.dumps(plan, sort_keys=True)
        if staging._is_of(described):
            staging._recover(can_read)
        else:
            shutil.rmtree(path, ignore_errors=True)
            staging.store.mkdir(parents=True)
            (path / "journal.jsonl").write_bytes(b"")
            (staging.store / "hu.npy").write_bytes(bytes(HEADER_BYTES))
            (path / "plan.json").write_text(described)
        shutil.rmtree(staging.incoming, ignore_errors=True)
        staging.incoming.mkdir()
        return staging

    def _is_of(self, described: str) -> bool:
        plan = self.path / "plan.json"
        return (self.store / "hu.npy").is_file() and plan.is_file() and plan.read_text() == described

    def _recover(self, can_read: Callable[[int], bool]) -> None:
        whole = 0
        with open(self.path / "journal.jsonl", "rb") as journal:
            for line in journal:
                if not line.endswith(b"\n"):
                    break
                reads = json.loads(line)
                if any(read["reason"] and can_read(read["entry"]) for read in reads):
                    break
                whole += len(line)
                self.chunks += 1
                self.entries += len(reads)
                self.slices += sum(not read["reason"] for read in reads)
        os.truncate(self.path / "journal.jsonl", whole)
        os.truncate(self.store / "hu.npy", HEADER_BYTES + self.slices * self.size**2 * 2)

    def append(self, reads: list[Read], chunk: Path) -> None:
        """Append a chunk: the results of its entries, and the file with its slices' pixels, which is deleted.

        Raises:
            OSError: the file isn't whole.
        """
        pixels, slices = chunk.read_bytes(), sum(not read.reason for read in reads)
        if len(pixels) != slices * self.size**2 * 2:
            raise OSError(
                f"{chunk}: has {len(pixels):,} bytes, not those of {slices} slices; run the same command again"
            )
        with open(self.store / "hu.npy", "ab") as file:
            file.write(pixels)
        with open(self.path / "journal.jsonl", "ab") as file:
            file.write(json.dumps([vars(read) for read in reads]).encode() + b"\n")
        chunk.unlink()
        self.entries += len(reads)
        self.slices += slices
        self.chunks += 1

    def reads(self) -> Iterator[Read]:
        """Yield everything read so far, in the order of the entries."""
        with open(self.path / "journal.jsonl", "rb") as journal:
            for line in journal:
                yield from (Read(**fields) for fields in json.loads(line))

    def finish(self) -> None:
        """Write the header that makes `hu.npy` a whole int16 [N, S, S]."""
        shape = (self.slices, self.size, self.size)
        header = repr({"descr": "<i2", "fortran_order": False, "shape": shape}).encode()
        prefix = b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little")
        with open(self.store / "hu.npy", "r+b") as file:
            file.write(prefix + header.ljust(HEADER_BYTES - 11) + b"\n")
            os.fsync(file.fileno())

    def move_to(self, path: Path) -> None:
        """Move the finished store to `path`, replacing what was there."""
        if path.exists():
            old = self.path / "old"
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
        self.store.rename(path)
        shutil.rmtree(self.path)
