"""Folders in which no file has labels, such as a challenge's test set: told in one note instead of rejected."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from ichtune.data.matching import Matches
from ichtune.data.sources.source import NO_LABELS

_SHOWN: Final = 3  # folders that a note lists


def set_aside(reasons: dict[str, str], matches: Matches) -> tuple[dict[str, str], list[str]]:
    """Return the reasons without those of folders in which no file has labels, and a note on these folders.

    If no file at all has labels, nothing is set aside, since the names are to blame.
    """
    if not matches.files:
        return reasons, []
    labeled = {*matches.files.values(), *matches.unclear, *matches.copies}
    known = {folder for file in labeled for folder in _folders(file)}
    counts: Counter[str] = Counter()
    kept = {}
    for file, why in reasons.items():
        outside = next((folder for folder in _folders(file) if folder not in known), None)
        if why == NO_LABELS and outside is not None:
            counts[outside] += 1
        else:
            kept[file] = why
    return kept, describe_unlabeled(counts)


def describe_unlabeled(counts: Counter[str]) -> list[str]:
    """Return a note on folders by their number of files without labels; none if there are no such files."""
    shown = sorted((folder, count) for folder, count in counts.items() if count)
    if not shown:
        return []
    if len(shown) == 1:
        folder, count = shown[0]
        return [f"{folder}: {_files(count)} without labels, not used."]
    total = _files(sum(counts.values()))
    more = f" and {len(shown) - _SHOWN:,} more" if len(shown) > _SHOWN else ""
    listed = ", ".join(f"{folder} ({count:,})" for folder, count in shown[:_SHOWN])
    return [f"{total} without labels in {len(shown):,} folders, not used: {listed}{more}."]


def _folders(file: str) -> Iterator[str]:
    """Yield the folders of a file, from the outermost to the innermost."""
    at = file.find("/")
    while at >= 0:
        yield file[:at]
        at = file.find("/", at + 1)


def _files(count: int) -> str:
    return f"{count:,} file{'s' if count != 1 else ''}"
