"""A console for texts from anywhere: what would steer a terminal, or hide what is there, is shown as its code."""

import re
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.segment import Segment

_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline; escape sequences begin with one
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # zero width, line separators, direction of writing
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"  # half pairs (a file name that is not UTF-8), tags
)


def printable(text: str) -> str:
    """The text with control, direction and invisible characters as their codes: `\\x1b`, `\\u202e`."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class SafeConsole(Console):
    """A console whose own styles and cursor moves act, and no others."""

    def render(self, *args: Any, **kwargs: Any) -> Iterable[Segment]:
        for text, style, control in super().render(*args, **kwargs):
            yield Segment(text if control else printable(text), style, control)
