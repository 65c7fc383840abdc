"""The series of a scan, and which of them to take: a scan that is in a store twice counts twice."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pandas as pd

from ichtune.data.formats.series_header import SeriesHeader
from ichtune.errors import InputError

_HEAD_MM: Final = 150  # about the height of a head; 28 slices of 5 mm are 140 mm
_SHORT_MM: Final = 80  # less than this is a part of a head
_COMFORTABLE_MM: Final = (2.5, 5.0)
_PLAIN: Final = re.compile(r"\b(plain|pre|non?|without|w/?o|unenhanced|nc|ncct)\b", re.IGNORECASE)
# "4cc sec 150cc" is how fast and how much agent was injected.
_CONTRAST: Final = re.compile(
    r"contrast|enhanced|\bpost\b|angio|veno|perfusion|\bct[av]\b|\bce(ct)?\b|\+\s*c\b|\d\s*cc\b",
    re.IGNORECASE,
)
_NO_AGENT: Final = {"", "no", "none", "n", "0"}
_SHARP: Final = re.compile(r"bone|lung|sharp|\bedge", re.IGNORECASE)
# From the vendors' manuals: GE's by name, Philips' by letters, Toshiba's FC30s (bone), FC50s (lung), FC80s (inner ear),
# and Siemens' from 50 on (H30s is soft, H60s is bone).
_SHARP_KERNEL: Final = re.compile(
    r".*(bone|lung|sharp|edge|detail).*|d|e|l|y[a-d]|e[bc]|fc[358]\d|(?!fc)[a-z]{1,2}[5-9]\d[a-z]*\d?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Series:
    """The files of one series of a scan, which are in one folder."""

    scan: str
    folder: str
    files: tuple[str, ...]
    header: SeriesHeader
    is_boxed: bool = False
    """Whether slices of it have boxes around hemorrhages."""

    @property
    def description(self) -> str:
        """Its description; if its files have none, the folder's name."""
        return self.header.description or self.folder.rpartition("/")[2]

    @property
    def names(self) -> tuple[str, str]:
        """Its description, and the name of its folder."""
        return self.description, self.folder.rpartition("/")[2]

    @property
    def thickness_mm(self) -> float:
        """Its slices' thickness; if they don't state it, from how many of them would make a head."""
        stated = self.header.thickness_mm
        return _HEAD_MM / len(self.files) if math.isnan(stated) else stated

    @cached_property
    def has_contrast(self) -> bool:
        """Whether a contrast agent was given, by the description or, if that is silent, by the header."""
        words = self.description.replace("_", " ")
        if _PLAIN.search(words):
            return False
        return bool(_CONTRAST.search(words)) or self.header.contrast.strip().lower() not in _NO_AGENT

    @cached_property
    def is_sharp(self) -> bool:
        """Whether its kernel is one for bones or lungs, in which the brain is noisy."""
        return bool(_SHARP.search(self.description) or _SHARP_KERNEL.fullmatch(self.header.kernel.strip()))

    @property
    def is_short(self) -> bool:
        """Whether it covers only a part of a head."""
        return len(self.files) * self.thickness_mm < _SHORT_MM

    @property
    def drawbacks(self) -> str:
        """Why one would rather have another series; empty if it has everything."""
        found = {"contrast": self.has_contrast, "a sharp kernel": self.is_sharp}
        return " and ".join(name for name, has in found.items() if has)


Order = Callable[[Series], float]
_IN_STORE: Final = "series.csv in the store lists all series (unless identifiers are hashed)."


def _comfortable(series: Series) -> float:
    """Slices of 2.5 to 5 mm first, the thickest of them ahead; then all others, the thinnest ahead."""
    low, high = _COMFORTABLE_MM
    return -series.thickness_mm if low <= series.thickness_mm <= high else series.thickness_mm


_ORDERS: Final[dict[str, Order]] = {
    "auto": _comfortable,
    "thin": lambda series: series.thickness_mm,
    "thick": lambda series: -series.thickness_mm,
}


ONE_OF: Final = frozenset(_ORDERS)
"""Wishes that every scan with an axial series can meet."""


def choose_per_scan(series: Iterable[Series], wish: str) -> list[Series]:
    """Return the series to take of all scans (see `choose`)."""
    scans: dict[str, list[Series]] = {}
    for one in series:
        scans.setdefault(one.scan, []).append(one)
    return [chosen for candidates in scans.values() for chosen in choose(candidates, wish)]


def choose(candidates: Sequence[Series], wish: str) -> list[Series]:
    """Return the series to take of one scan: one of its axial ones, or (`all`) all of these; none if it has none.

    Args:
        candidates: the scan's series.
        wish: `auto`, `thin`, `thick`, `all`, or a regular expression, of whose matches `auto` takes one.

    Raises:
        InputError: `wish` is no regular expression.
    """
    axial = [series for series in candidates if not series.header.fault]
    if wish == "all":
        return axial
    if wish not in _ORDERS:
        pattern = _pattern(wish)
        axial = [series for series in axial if any(map(pattern.search, series.names))]
    order = _ORDERS.get(wish, _comfortable)
    return sorted(axial, key=lambda series: _rank(series, order))[:1]


def _rank(series: Series, order: Order) -> tuple[object, ...]:
    return (
        order is _comfortable and not series.is_boxed,
        series.is_short,
        series.has_contrast,
        series.is_sharp,
        order(series),
        -len(series.files),
        series.folder,
    )


def _pattern(wish: str) -> re.Pattern[str]:
    try:
        return re.compile(wish, re.IGNORECASE)
    except re.error as error:
        raise InputError(
            f"--series {wish!r}: must be auto, all, thin, thick or a regular expression, which it isn't: {error}"
        ) from None


def series_table(series: Iterable[Series], chosen: Iterable[Series]) -> pd.DataFrame:
    """Return a row per series: its scan, whether it was chosen, and what that was decided from."""
    taken = set(chosen)
    rows = [
        {
            "scan": one.scan,
            "folder": one.folder,
            "chosen": int(one in taken),
            "description": one.description,
            "files": len(one.files),
            "thickness_mm": one.header.thickness_mm,
            "kernel": one.header.kernel,
            "contrast": int(one.has_contrast),
            "sharp": int(one.is_sharp),
            "boxes": int(one.is_boxed),
            "fault": one.header.fault,
        }
        for one in series
    ]
    return pd.DataFrame(rows)


def describe_choice(
    series: Sequence[Series], chosen: Sequence[Series], wish: str, remark: str = _IN_STORE
) -> list[str]:
    """Return notes on the chosen series and on those that were left out, the latter with a remark."""
    kinds = Counter(_kind(one) for one in chosen).most_common()
    shown = ", ".join(f"{kind} ({count:,})" for kind, count in kinds[:8])
    more = f" and {len(kinds) - 8:,} more kinds" if len(kinds) > 8 else ""
    notes = [f"Series chosen (--series {wish}): {shown}{more}."]
    taken = set(chosen)
    left = [one for one in series if one not in taken]
    if left:
        files = sum(len(one.files) for one in left)
        notes.append(
            f"Files of other series of these scans, which are not used: {files:,} in {len(left):,} series. {remark}"
        )
    if wish != "all" and (worse := [one for one in chosen if one.drawbacks]):
        notes.append(
            f"Chosen series with {' or '.join(sorted({one.drawbacks for one in worse}))}, for want of a better one: "
            f"{len(worse):,} ({examples(one.folder for one in worse)})."
        )
    return notes


def refuse_missing_codec(root: Path, chosen: Sequence[Series]) -> None:
    """Refuse series that can't be decoded here, rather than reject 100,000 files one by one."""
    if lacking := [one for one in chosen if one.header.missing_codec]:
        raise InputError(
            f"{root / lacking[0].folder}: {lacking[0].header.missing_codec} ({len(lacking):,} of {len(chosen):,} "
            "series need one)"
        )


def _kind(series: Series) -> str:
    thickness = series.header.thickness_mm
    return series.description if math.isnan(thickness) else f"{series.description}, {thickness:g} mm"


def examples(names: Iterable[str]) -> str:
    """Return the first three of these names."""
    names = sorted(names)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
