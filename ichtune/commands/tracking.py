"""The command that sends a run to experiment trackers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ichtune.commands.ranking import Run, note_running_search
from ichtune.commands.terminal import NOTHING_USABLE, note, say
from ichtune.errors import InputError

if TYPE_CHECKING:
    from ichtune.runs.folder import RunFolder
    from ichtune.tracking.trackers import Tracker


def log(
    run: Run,
    to: Annotated[
        str,
        typer.Option(
            metavar="TRACKERS",
            help="mlflow, mlflow:URI, wandb (offline) or wandb:online; several with commas.",
        ),
    ],
) -> None:
    """Send what trackers lack of a run: trials, epochs, tables, report and retrained models."""
    from ichtune.runs.folder import RunFolder
    from ichtune.tracking.trackers import checked

    folder = RunFolder.open(run)
    if folder.is_searching and folder.request.settings.log:  # both would send what the other is just sending
        raise InputError(f"--to: the search of {folder} is running, and logs by itself; wait until it ends")
    found = checked(to, folder)
    note_running_search(folder)
    with folder.claimed("logging"):
        if not send_to(found, folder):
            raise typer.Exit(NOTHING_USABLE)


def send_to(trackers: "Sequence[Tracker]", run: "RunFolder") -> bool:
    """Send a run to trackers and print where it is, or what went wrong; returns whether all went well."""
    from ichtune.tracking.sending import send_all

    problems = send_all(run, trackers)
    for tracker, problem in zip(trackers, problems, strict=True):
        if problem:
            note(problem)
        else:
            say(f"logged to:   {tracker}")
            say(f"see it with: {tracker.look}")
    run.push()
    return not any(problems)
