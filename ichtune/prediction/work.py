"""Unfinished predictions: `OUT.partial/` with a plan and the rows so far, from which the same command goes on."""

import json
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ichtune.errors import InputError
from ichtune.json_text import read_json
from ichtune.locks import locked
from ichtune.prediction.rows import RowFile

_PLAN: Final = "plan.json"


@dataclass(frozen=True)
class Work:
    """What has been predicted so far, and a folder for pixels on their way from the readers."""

    rows: RowFile
    pixels: Path


def partial(out: Path) -> Path:
    """Return the folder of the unfinished predictions for a file."""
    return out.with_name(f"{out.name}.partial")


@contextmanager
def working(out: Path, plan: Mapping[str, str]) -> Generator[Work]:
    """Begin or resume the predictions for a file; the working folder is gone at the end, and stays after an error.

    Args:
        plan: what the predictions depend on, in the words of the message about a difference.

    Raises:
        InputError: another process is writing this file, or unfinished predictions of another plan are there.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = partial(out)
    refusal = f"{out}: another process is writing these predictions; wait for it, or choose another --out"
    with locked(out.resolve().with_name(f".{out.name}.lock"), refusal):
        _begin(folder, plan)
        pixels = folder / "pixels"
        shutil.rmtree(pixels, ignore_errors=True)
        pixels.mkdir()
        yield Work(RowFile(folder / "rows.arrows"), pixels)
        shutil.rmtree(folder)


def _begin(folder: Path, plan: Mapping[str, str]) -> None:
    file = folder / _PLAN
    if not file.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        file.write_text(json.dumps(dict(plan), indent=2) + "\n")
        return
    try:
        begun = read_json(file)
    except ValueError as error:
        raise InputError(f"{file}: damaged ({error}); delete {folder} to start over") from None
    if changed := [name for name in {**begun, **plan} if begun.get(name) != plan.get(name)]:
        raise InputError(
            f"{folder}: holds unfinished predictions with another {' and another '.join(changed)}; choose another "
            "--out, or delete it to start over"
        )
