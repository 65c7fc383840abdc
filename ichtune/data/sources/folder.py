"""The content of a source's folder: its files, and the CSV with its labels."""

import os
from collections.abc import Iterator
from pathlib import Path

from ichtune.data.label_tables import read_csv, read_header
from ichtune.errors import InputError


def only_csv(root: Path) -> Path:
    """Return the labels file in a source's folder: its only CSV, apart from sample submissions."""
    found = sorted(
        path for path in root.iterdir() if path.suffix.lower() == ".csv" and not _is_submission(path)
    )
    long = [path for path in found if _is_long(path)]
    for candidates in (found, long):
        if len(candidates) == 1:
            return candidates[0]
    if not found:
        raise InputError(f"{root}: no CSV with labels here; pass it with --labels")
    names = ", ".join(path.name for path in found)
    raise InputError(
        f"{root}: {len(found)} CSV files here ({names}); pass the one with the labels with --labels"
    )


def _is_long(path: Path) -> bool:
    return {"id", "label"} <= set(read_header(path))


def _is_submission(path: Path) -> bool:
    """Whether a CSV is a challenge's sample submission, which has 0.5 for every label."""
    if "sample_submission" in path.name.lower():
        return True
    return _is_long(path) and set(read_csv(path, nrows=12)["label"].str.strip()) == {"0.5"}


def files_below(folder: Path) -> Iterator[str]:
    """Yield every file below `folder`, relative to it with forward slashes, skipping hidden ones.

    Also skipped are links to a folder that they lie in, and pipes, sockets and devices, whose reading may never end. A
    link to nothing is yielded: reading it gives the reason.
    """
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            with os.scandir(folder / below) as listing:
                for item in listing:
                    if item.name.startswith("."):
                        continue
                    name = f"{below}/{item.name}" if below else item.name
                    if not _is_folder(item):
                        if item.is_symlink() or item.is_file():
                            yield name
                    elif not (item.is_symlink() and _leads_up(Path(item.path))):
                        pending.append(name)
        except PermissionError:
            raise InputError(f"{folder / below}: this folder can't be read; check its permissions") from None


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself
        return False


def _leads_up(link: Path) -> bool:
    """Whether a link to a folder leads to one that the link is in, where it would be found again and again."""
    return link.parent.resolve().is_relative_to(link.resolve())
