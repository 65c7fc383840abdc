"""A console for untrusted text: characters that control a terminal or hide text are shown as their codes."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.segment import Segment

_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters except tab and newline; escape sequences begin with one
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # zero width, line separators, writing direction
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"  # lone surrogates (from a file name that isn't UTF-8), tags
)


def printable(text: str) -> str:
    """Return the text with control, direction and invisible characters as codes: `\\x1b`, `\\u202e`."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable_rows(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return a table's rows with their texts printable, and cells that aren't text unchanged."""
    return [[printable(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]


class SafeConsole(Console):
    """A console that obeys its own styles and cursor moves, but none that come with the text."""

    def render(self, *args: Any, **kwargs: Any) -> list[Segment]:
        return [
            Segment(text if control else printable(text), style, control)
            for text, style, control in super().render(*args, **kwargs)
        ]
