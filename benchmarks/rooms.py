"""Count how often a command calls from one of our modules into another.

    python benchmarks/rooms.py [--top 15] rank runs/NAME --test

Runs the command in this process and prints JSON: `calls` into a module from another one (a generator counts each time
it is resumed), and the most frequent pairs of modules and functions. Anything between two of our modules, such as
`functools.cached_property` or pandas, belongs to the first one. Imports aren't counted.
"""

import argparse
import json
import sys
from collections import Counter
from types import FrameType
from typing import Any

OURS = ("ichtune", "analysis")


class Rooms:
    """Counts calls from module to module, as a profile function for `sys.setprofile`."""

    def __init__(self) -> None:
        self.crossings: Counter[tuple[str, str, str]] = Counter()
        self._homes: dict[str, bool] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or frame.f_code.co_name == "<module>":
            return
        into = self._home(frame)
        if into is None:
            return
        before = frame.f_back
        while before is not None and self._home(before) is None:
            before = before.f_back
        came_from = None if before is None else self._home(before)
        if came_from is not None and came_from != into:
            self.crossings[came_from, into, frame.f_code.co_qualname] += 1

    def _home(self, frame: FrameType) -> str | None:
        """Return the frame's module, if it is one of ours."""
        name = frame.f_globals.get("__name__", "")
        if name not in self._homes:
            self._homes[name] = name.partition(".")[0] in OURS
        return name if self._homes[name] else None

    def figures(self, top: int) -> dict[str, Any]:
        """Return the number of calls, and the `top` pairs of modules and functions by calls."""
        doors: Counter[str] = Counter()
        functions: Counter[str] = Counter()
        for (came_from, into, function), count in self.crossings.items():
            doors[f"{came_from} -> {into}"] += count
            functions[f"{into}.{function}"] += count
        return {
            "calls": self.crossings.total(),
            "doors": dict(doors.most_common(top)),
            "functions": dict(functions.most_common(top)),
        }


def count(arguments: list[str]) -> Rooms:
    """Count the calls between our modules while a command runs.

    Raises:
        SystemExit: the command failed.
    """
    from ichtune.cli import app

    rooms = Rooms()
    sys.setprofile(rooms)
    try:
        code = app(arguments, standalone_mode=False)
    except SystemExit as ended:  # as `search` ends
        code = ended.code
    finally:
        sys.setprofile(None)
    if code:
        raise SystemExit(code)
    return rooms


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--top", type=int, default=15, help="how many pairs of modules and functions to list")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="an ichtune command with its arguments")
    arguments = parser.parse_args()
    rooms = count(arguments.command)
    print(json.dumps(rooms.figures(arguments.top), indent=2))


if __name__ == "__main__":
    main()
