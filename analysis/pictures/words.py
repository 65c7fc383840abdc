"""Short texts for pictures: names that fit, and readable numbers."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analysis.ranking.trial import RankedTrial

CHARACTER: Final = 0.062
"""Width of a character in inches at 8 points."""
PIECE: Final = r"[^ ._=-]*[ ._=-]|[^ ._=-]+"
"""A piece of a name that is not broken over lines."""


def trial_name(trial: "RankedTrial", most: int = 44) -> str:
    """A trial's number and its distinguishing words: `0023 focal-adam-plateau`."""
    return shortened(trial.record.folder.name.replace("-", " ", 1), most)


def shortened(text: str, most: int) -> str:
    """The text, cut off with "…" if it has more than `most` characters."""
    return text if len(text) <= most else f"{text[: max(most - 1, 1)].rstrip(' -_.=')}…"


def wrapped(text: str, width: int, lines: int = 3) -> str:
    """The text in up to `lines` lines of `width` characters, broken after spaces, ".", "_", "=" and "-"."""
    rows = [""]
    for piece in re.findall(PIECE, text):
        if rows[-1] and len((rows[-1] + piece).rstrip()) > width:
            rows.append("")
        rows[-1] += piece
    if len(rows) > lines:
        rows = [*rows[: lines - 1], "".join(rows[lines - 1 :])]
    return "\n".join(shortened(row.strip(), width) for row in rows)


def strips(labels: Sequence[str], inches: float) -> list[str]:
    """Labels side by side, each this many inches wide: wrapped, or alternating between two lines if they are long."""
    width = int(inches / CHARACTER)
    if len(labels) < 2 or all(len(label) <= width for label in labels):
        return list(labels)
    if max(len(piece) for label in labels for piece in re.findall(PIECE, label)) <= width:
        return [wrapped(label, width) for label in labels]
    return ["\n" * (index % 2) + wrapped(label, 2 * width - 1, 1) for index, label in enumerate(labels)]


def number(value: float) -> str:
    """`0.05`, `300`, `1e-5`: three digits, with powers of ten for long numbers."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
