"""The terminal that commands write to, and how commands end."""

import sys
from typing import NoReturn

from rich.markup import escape

from ichtune.safe_console import SafeConsole, printable

OK, NOTHING_USABLE, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

console = SafeConsole()


def fail(message: str, code: int) -> NoReturn:
    """Exit with an error message."""
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(code)


def end_interrupted() -> NoReturn:
    """Exit after Ctrl-C from a command that can resume."""
    fail("interrupted; run the same command again to resume", INTERRUPTED)


def say(text: str) -> None:
    """Print a line that may hold paths: neither wrapped nor coloured, so that it can be copied."""
    console.print(escape(text), soft_wrap=True, highlight=False)


def note(text: str) -> None:
    """Print a remark that should not be missed."""
    console.print(f"[bold yellow]note:[/] {escape(text)}", soft_wrap=True)
