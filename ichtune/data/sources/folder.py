"""The content of a source's folder: its files, and the CSV with its labels."""

import os
from collections.abc import Iterator
from pathlib import Path

from ichtune.data.label_tables import read_header
from ichtune.errors import InputError


def only_csv(root: Path) -> Path:
    """Return the labels file in a source's folder: its only CSV, apart from sample submissions."""
    found = sorted(path for path in root.glob("*.csv") if "sample_submission" not in path.name)
    long = [path for path in found if {"id", "label"} <= set(read_header(path))]
    for candidates in (found, long):
        if len(candidates) == 1:
            return candidates[0]
    if not found:
        raise InputError(f"{root}: no CSV with labels here; pass it with --labels")
    names = ", ".join(path.name for path in found)
    raise InputError(
        f"{root}: {len(found)} CSV files here ({names}); pass the one with the labels with --labels"
    )


def files_below(folder: Path) -> Iterator[str]:
    """Yield every file below `folder`, relative to it with forward slashes, skipping hidden ones."""
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            with os.scandir(folder / below) as listing:
                for item in listing:
                    if item.name.startswith("."):
                        continue
                    name = f"{below}/{item.name}" if below else item.name
                    if item.is_dir():
                        pending.append(name)
                    else:
                        yield name
        except PermissionError:
            raise InputError(f"{folder / below}: this folder can't be read; check its permissions") from None
