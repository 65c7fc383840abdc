"""The command that retrains a ranked recipe as a model."""

from dataclasses import replace
from typing import Annotated

import typer

from analysis.retraining.options import RetrainOptions
from ichtune.commands.arguments import takes
from ichtune.commands.ranking import Data, Run, note_running_search
from ichtune.commands.set_option import parse_changes
from ichtune.commands.terminal import console, end_interrupted, note, say
from ichtune.commands.tracking import send_to


@takes(RetrainOptions)
def retrain(
    run: Run,
    settings: RetrainOptions,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,VALUE",
            help="Train every combination, e.g. --compare train=last,all --compare size=224,512.",
        ),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Change the recipe, e.g. --set loss.name=bce.",
        ),
    ] = None,
    phases: Annotated[
        str | None,
        typer.Option(
            metavar="YAML",
            help="Train in phases, e.g. '[{train: frozen, epochs: 1}, {train: all}]': short for --set phases=YAML.",
        ),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(metavar="TRACKERS", help="Log the run, with its models, as `ichtune log` does."),
    ] = None,
    data: Data = None,
) -> None:
    """Retrain a recipe of a search with its backbone unfrozen; writes the model and its comparison."""
    import pandas as pd

    from analysis.retraining.compared import compare as compare_models
    from analysis.retraining.factorial import base_label, parse_factors
    from analysis.retraining.planning import plans
    from analysis.retraining.train import train
    from analysis.screen import print_comparison, print_paired, print_table
    from ichtune.progress import progress
    from ichtune.remote import below
    from ichtune.runs.folder import RunFolder
    from ichtune.tracking.trackers import checked

    factors = parse_factors(compare or [])
    changes = parse_changes([*(set or []), *([] if phases is None else [f"phases={phases}"])])
    options = replace(settings, changes=changes, factors=factors)
    folder = RunFolder.open(run, data)
    found = checked(log, folder)
    planned = plans(folder, options)
    note_running_search(planned[0].run)
    for each in planned:
        for change in each.differences:
            say(f"changed: {change}" if len(planned) == 1 else f"{each.label} changed: {change}")
    try:
        with progress("retraining", "images", console) as report:
            made = train(planned, report)
    except KeyboardInterrupt:
        end_interrupted()
    for model in made:
        if len(made) > 1:
            say(f"\n{model.folder.name}")
        print_comparison(pd.concat([model.comparison, model.no_skill], ignore_index=True), console)
        print_paired(model.paired, console)
        for remark in model.notes:
            note(remark)
        say(f"model: {below(str(folder), model.folder.relative_to(folder.path).as_posix())}")
    if factors:
        comparison = planned[0].folder.with_name(
            f"{base_label(replace(options, rank=planned[0].options.rank))}.compared"
        )
        print_table(compare_models(planned, made, comparison), console)
        say(f"comparison: {comparison}")
    folder.push()
    if found:
        send_to(found, folder)
