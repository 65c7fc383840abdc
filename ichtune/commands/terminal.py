"""The terminal that commands write to, and how they end."""

import sys
from typing import NoReturn

from rich.markup import escape

from ichtune.safe_console import SafeConsole, printable

OK, NOTHING_USABLE, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

console = SafeConsole()


def fail(message: str, code: int) -> NoReturn:
    """End with a line that says why."""
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(code)


def end_interrupted() -> NoReturn:
    """End a command that Ctrl-C stopped and that goes on where it was."""
    fail("interrupted; run the same command again and it goes on where it was", INTERRUPTED)


def say(text: str) -> None:
    """A line that may hold paths: neither wrapped nor coloured, so that it can be copied."""
    console.print(escape(text), soft_wrap=True, highlight=False)


def note(text: str) -> None:
    """A remark that should not be missed."""
    console.print(f"[bold yellow]note:[/] {escape(text)}", soft_wrap=True)
