"""Commands about searches: space and search."""

import sys
from typing import Annotated

import typer

from ichtune.commands.arguments import given, takes
from ichtune.commands.set_option import parse_changes
from ichtune.commands.terminal import console
from ichtune.runs.settings import SearchSettings


def space(
    space: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A preset (quick, default, scans, full, ablation, finetune) or a YAML file.",
        ),
    ],
) -> None:
    """Check a search space and print it as a tree."""
    from ichtune.space import Space

    console.print(Space.load(space).tree())


@takes(SearchSettings, variables=True)
def search(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Option(
            envvar="ICHTUNE_DATA",
            show_envvar=False,
            help="Slice store, or its URI (default: synthetic heads).",
        ),
    ] = None,
    space: Annotated[
        str,
        typer.Option(
            envvar="ICHTUNE_SPACE", show_envvar=False, help="Search space: a preset or a YAML file."
        ),
    ] = "quick",
    *,
    settings: SearchSettings,
    max_epochs: Annotated[
        int | None,
        typer.Option(
            envvar="ICHTUNE_MAX_EPOCHS",
            show_envvar=False,
            min=1,
            help="Epochs to train each trial for (default: the space's).",
        ),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Change the space, e.g. --set training.epochs=5."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            envvar="ICHTUNE_RESUME",
            show_envvar=False,
            help="Resume the run of this name; all other settings come from the run.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan without running it.")] = False,
) -> None:
    """Search for the best training recipe on a slice store."""
    from ichtune.commands import search_flow
    from ichtune.space import Space

    changes = parse_changes(set or [])
    if max_epochs is not None:
        changes["training.epochs"] = max_epochs
    if settings.promote is not None and resume is None:
        own = Space.load(space) if "space" in given(context) else None
        if own and not own.recipes:
            own, changes = None, Space.written(space) | changes
        code = search_flow.promote(data, own, settings, changes, given(context), console, dry_run=dry_run)
    elif resume is None:
        code = search_flow.run(data, Space.load(space).changed(changes), settings, console, dry_run=dry_run)
    else:
        chosen = given(context)
        changed = {name: value for name, value in settings.as_dict().items() if name in chosen - {"runs"}}
        code = search_flow.resume(
            settings.runs,
            resume,
            changed,
            console,
            data=data,
            space=Space.load(space) if "space" in chosen else None,
            changes=changes,
            dry_run=dry_run,
        )
    sys.exit(code)
