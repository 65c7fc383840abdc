"""Commands that look at a search from anywhere: status, logs and fetch."""

from pathlib import Path
from typing import Annotated

import typer

from ichtune.commands.terminal import console, end_interrupted, say

Run = Annotated[str, typer.Argument(help="Folder of a run, e.g. runs/NAME, or its URI.")]


def status(run: Run) -> None:
    """Show how a search is getting on: trials, best score, last record, and whether its driver is alive."""
    from ichtune.runs.elsewhere import watched
    from ichtune.runs.status import Status

    for line in Status.of(watched(run)).lines():
        say(line)


def logs(
    run: Run,
    trial: Annotated[
        str | None, typer.Argument(help="Number or name of a trial: the errors of its attempts instead.")
    ] = None,
) -> None:
    """Print the log of a search's driver, or the errors of a trial."""
    from ichtune.runs.elsewhere import watched
    from ichtune.runs.logs import driver_log, trial_errors

    opened = watched(run)
    say(driver_log(opened) if trial is None else trial_errors(opened, trial))


def fetch(
    uri: Annotated[str, typer.Argument(help="URI of a run.")],
    to: Annotated[Path | None, typer.Argument(help="Folder for it (default: runs/NAME).")] = None,
) -> None:
    """Download a run from its URI: what is new since the last fetch, also while it is being searched."""
    from ichtune.progress import progress
    from ichtune.remote import Remote
    from ichtune.runs.elsewhere import fetch as fetching
    from ichtune.wording import pasteable, plural

    folder = to or Path("runs") / Remote(uri).name
    try:
        with progress("fetching", "B", console) as report:
            count = fetching(uri, folder, report)
    except KeyboardInterrupt:
        end_interrupted()
    say(f"fetched: {folder} ({plural(count, 'new file', 'new files')})")
    say(f"rank:    {pasteable('ichtune', 'rank', folder)} --data STORE")
