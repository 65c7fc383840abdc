"""The command that repeats a published study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichtune.commands.set_option import parse_changes
from ichtune.commands.terminal import INTERRUPTED, console, end_interrupted, fail, note, say

if TYPE_CHECKING:
    from analysis.studies.plan import Reproduction


def reproduce(
    name: Annotated[
        str,
        typer.Argument(
            metavar="STUDY", help="seven-parts, efficientnet, small-cnn, half-resolution or winners."
        ),
    ],
    data: Annotated[Path, typer.Option(help="Slice store.")],
    second: Annotated[
        Path | None, typer.Option(help="The other store, of studies that compare two data sets.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything (default: reproduced/STUDY).")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer epochs and trials, to see it work.")] = False,
    set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Change the spaces of all searches, e.g. --set model.backbone=efficientnet_lite0.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its cost without running it.")
    ] = False,
) -> None:
    """Repeat a published study on your data: one page with its tables, published beside yours."""
    from analysis.studies.plan import Reproduction

    planned = Reproduction.plan(name, data, second, out, quick=quick, changes=parse_changes(set or []))
    if dry_run:
        _print_plan(planned)
        return
    _run(planned)
    _write(planned)


def _run(planned: "Reproduction") -> None:
    from analysis.studies.run import StepFailed, run, seconds

    steps = [command.step.name for command in planned.commands]
    for difference in planned.differences:
        note(difference)
    if done := seconds(planned):
        say(f"{len(done)} of {len(steps)} steps are done already")
    try:
        run(
            planned,
            lambda command: say(
                f"\nstep {steps.index(command.step.name) + 1} of {len(steps)}: {command.step.does}\n{command.text}"
            ),
        )
    except StepFailed as failed:
        if failed.code == INTERRUPTED:
            end_interrupted()
        fail(
            f"step {failed.command.step.name} failed (exit code {failed.code}); the same command goes on with it",
            failed.code,
        )


def _write(planned: "Reproduction") -> None:
    from analysis.report.studied import write_page

    page = write_page(planned)
    say(f"\ntables: {planned.out / 'tables'}")
    say(f"page: {page}")


def _print_plan(planned: "Reproduction") -> None:
    from rich.table import Table

    from analysis.studies.cost import cost

    for difference in planned.differences:
        note(difference)
    table = Table("step", "what", "trainings", "epochs", "images", "time", title=planned.study.title)
    total = 0.0
    for command in planned.commands:
        found = cost(planned, command)
        total += found.seconds if found else 0.0
        numbers = (
            ("", "", "", "")
            if found is None
            else (str(found.trainings), str(found.epochs), f"{found.images:,}", _words(found.seconds))
        )
        table.add_row(command.step.name, command.step.does, *numbers)
    console.print(table)
    for command in planned.commands:
        say(command.text)
    say(f"writes {planned.out}")
    say(
        f"about {_words(total)} of computing on this machine, by a short trial of each network; each search also "
        "starts Ray, and steps without figures are short"
    )


def _words(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
