"""Columns that may name the file of a table's row: where two do, and differ, one must not be picked by its position."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ichtune.data.columns import ID_COLUMNS
from ichtune.errors import InputError


class Named(NamedTuple):
    """The file of each row by one column, None where it names none."""

    column: str
    files: Sequence[str | None]

    @property
    def rows(self) -> int:
        """How many rows have a file."""
        return sum(file is not None for file in self.files)


def refuse_rivals(chosen: Named, others: Iterable[Named], lines: Iterable[int], path: Path) -> None:
    """Raise an InputError if the chosen column is an id, which may just number rows, and another names other files."""
    if chosen.column not in ID_COLUMNS:
        return
    for other in others:
        pairs = zip(lines, chosen.files, other.files, strict=True)
        differ = [(line, one, two) for line, one, two in pairs if one and two and one != two]
        if differ and other.rows >= chosen.rows:
            line, one, two = differ[0]
            raise InputError(
                f"{path}: line {line:,} is about {one!r} by its column {chosen.column}, but about {two!r} by "
                f"{other.column}; rename the right one to 'file'"
            )
