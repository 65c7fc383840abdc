"""The z of slices from a table's ImagePositionPatient, in the forms in which scripts write it."""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from ichtune.data.formats.elements import finite

POSITION: Final = "imagepositionpatient"
# ['-125', '-124', '122.9'], (-125, -124, 122.9) or -125\-124\122.9
_AROUND: Final = str.maketrans("", "", "[]()'\"")
_BETWEEN: Final = re.compile(r"[\\,;\s]+")


@dataclass(frozen=True)
class Positions:
    """z in mm by row (NaN if unknown; None if there is no such column), the columns read, and notes."""

    z_mm: pd.Series | None
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_positions(table: pd.DataFrame) -> Positions:
    """Return the z of a table's rows from `ImagePositionPatient` or its third part, `ImagePositionPatient_2`."""
    columns = tuple(name for name in table.columns if re.fullmatch(POSITION + r"(\d|[xyz])?", name))
    if POSITION in columns and not (z := table[POSITION].map(_third)).isna().all():
        return Positions(z, columns, _unreadable(table[POSITION], z))
    part = _third_column(columns)
    if part is None:
        return Positions(None)
    z = pd.to_numeric(table[part].str.strip(), errors="coerce").astype(float)
    z = z.where(np.isfinite(z))
    return Positions(z, columns, (f"z in mm was read from the column {part}.", *_unreadable(table[part], z)))


def _third(cell: str) -> float:
    numbers = [finite(part) for part in _BETWEEN.split(cell.translate(_AROUND).strip())]
    known = [number for number in numbers if number is not None]
    return known[2] if len(known) == len(numbers) == 3 else np.nan


def _third_column(columns: tuple[str, ...]) -> str | None:
    """Return the column of z: parts are counted from 0, or from 1 if there is a third of them and no zeroth."""
    parts = {name.removeprefix(POSITION): name for name in columns}
    from_one = "3" in parts and not {"0", ""} & parts.keys()
    return parts.get("z") or parts.get("3" if from_one else "2")


def _unreadable(text: pd.Series, z: pd.Series) -> tuple[str, ...]:
    wrong = text[z.isna() & (text.str.strip() != "")]
    if wrong.empty:
        return ()
    return (
        f"In {len(wrong):,} row{'s' if len(wrong) > 1 else ''} z can't be read from {text.name} "
        f"(line {wrong.index[0]:,}: {wrong.iloc[0]!r}); it is left to the file's header.",
    )
