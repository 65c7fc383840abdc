"""What was searched: the space and settings in words, when the search ran, and how the trials ended."""

import io
from datetime import datetime
from typing import Any

from rich.console import Console

from analysis.report.grids import ABSENT
from analysis.screen import print_summary
from ichtune.runs.folder import RunFolder
from ichtune.runs.study import open_study
from ichtune.space import Space
from ichtune.wording import plain

COLUMNS = 100
"""Line width of the tree in characters."""


def space_text(space: Space) -> str:
    """The space's tree as text."""
    return _printed(COLUMNS, space.tree())


def settings_of(run: RunFolder) -> dict[str, str]:
    """The search's settings by name; unset ones are a dash."""
    settings = {name: value for name, value in run.request.settings.as_dict().items() if name != "runs"}
    return {
        name.replace("_", " "): ABSENT if value is None else plain(value) for name, value in settings.items()
    }


def endings(run: RunFolder) -> list[str]:
    """How the trials ended, and a line for each that failed."""
    stream = io.StringIO()
    print_summary(run, Console(file=stream, width=COLUMNS))
    return [line.strip() for line in stream.getvalue().splitlines()]


def searched_when(run: RunFolder) -> str:
    """`21 November 2025, 11:08 to 11:25`: from the start of the first trial to the end of the last."""
    trials = open_study(run.journal).get_trials(deepcopy=False)
    first = min((trial.datetime_start for trial in trials if trial.datetime_start), default=None)
    last = max((trial.datetime_complete for trial in trials if trial.datetime_complete), default=None)
    if first is None or last is None:
        return "at a time that was not recorded"
    if date(first) == date(last):
        return date(first)
    return f"{date(first)} to {f'{last:%H:%M}' if first.date() == last.date() else date(last)}"


def date(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def _printed(width: int, thing: Any) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(thing)
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip().splitlines())
