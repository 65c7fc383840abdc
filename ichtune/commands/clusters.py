"""Commands about clusters: cluster check."""

from pathlib import Path
from typing import Annotated

import typer

from ichtune.commands.local_paths import on_this_machine
from ichtune.commands.terminal import WRONG_INPUT, say

app = typer.Typer(help="Clusters to search on.", no_args_is_help=True)


@app.callback()
def cluster() -> None:
    """Clusters to search on."""


@app.command()
@on_this_machine
def check(
    file: Annotated[Path, typer.Argument(help="YAML for `ray up` or KubeRay, or an sbatch script.")],
) -> None:
    """Check a cluster file for what wouldn't work, is open to others, or isn't shared. Asks no cloud."""
    from ichtune.cluster.check.check import check

    findings = check(file)
    for finding in findings:
        say(f"{file}, line {finding.line}: {finding}")
    if findings:
        raise typer.Exit(WRONG_INPUT)
    say(f"{file}: nothing found")
