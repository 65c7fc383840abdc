"""Commands that take models to other stores: evaluate and finetune."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from analysis.evaluation.options import EvaluateOptions
from analysis.retraining.finetune_options import FinetuneOptions
from ichtune.commands.arguments import takes
from ichtune.commands.set_option import parse_changes
from ichtune.commands.terminal import console, end_interrupted, note, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.evaluation.evaluate import Evaluation
    from analysis.evaluation.plan import Plan


@takes(EvaluateOptions)
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="Folders of models, e.g. runs/NAME/retrain/LABEL, or their URIs."
        ),
    ],
    data: Annotated[
        list[str], typer.Option(help="Slice store to evaluate on, or its URI; give it again for several.")
    ],
    settings: EvaluateOptions,
) -> None:
    """Evaluate models on stores: every metric by slice, scan and patient, with intervals by patient."""
    from analysis.evaluation.cross import plans

    _evaluate(plans(models, data, settings))


@takes(FinetuneOptions)
def finetune(
    model: Annotated[str, typer.Argument(help="Folder of the model to start from, or its URI.")],
    data: Annotated[str, typer.Option(help="Slice store to train on, or its URI.")],
    settings: FinetuneOptions,
    before: Annotated[
        str | None,
        typer.Option(help="The store that the model was trained on (default: as its run says)."),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Change the recipe, e.g. --set model.train=last."),
    ] = None,
) -> None:
    """Continue the training of a model on another store; shows it before and after on both stores."""
    from analysis.evaluation.cross import own_store, plans
    from analysis.retraining.finetune import finetune as finetuned
    from analysis.retraining.finetune import plan
    from ichtune.data.store import SliceStore
    from ichtune.inference.about import read_about
    from ichtune.progress import progress

    planned = plan(model, data, replace(settings, changes=parse_changes(set or [])))
    own = before or own_store(planned.model, planned.about)
    stores = [place for place in (own, data) if place is not None]
    for what, change in planned.differences.items():
        say(f"changed: {what} {change}")
    if own is None:
        note("the store that the model was trained on wasn't found; --before STORE shows the model there too")
    elif not len(SliceStore.open(own).test):
        note(f"{own} has no test set, so what the model forgets of it can't be shown")
        stores = [data]
    # Refuses, before the training, what can't be evaluated after it.
    plans([planned.model], stores, EvaluateOptions())
    try:
        with progress("fine-tuning", "images", console) as report:
            folder = finetuned(planned, report)
    except KeyboardInterrupt:
        end_interrupted()
    say(f"model: {folder}")
    made = read_about(folder)
    note(f"calibration: {made.calibration.chosen}")
    note(f"thresholds: {made.thresholds_chosen}")
    _evaluate(plans([planned.model, folder], stores, EvaluateOptions(out=folder / "evaluation")))


def _evaluate(planned: "Sequence[Plan]") -> None:
    """Evaluate all plans, write and print their scores and, of several, their comparison."""
    for plan in planned:
        for name, text in plan.facts.items():
            say(f"{name}: {text}")
        for remark in plan.remarks:
            note(remark)
    _evaluate_all(planned)


def _evaluate_all(planned: "Sequence[Plan]") -> None:
    from analysis.evaluation.evaluate import evaluate as evaluated
    from analysis.evaluation.write import cross_tables
    from analysis.screen import print_by
    from analysis.tables.crossed import BEFORE_AND_AFTER
    from analysis.tables.writers import write_table
    from ichtune.progress import progress

    made = []
    for plan in planned:
        what = "evaluating" if len(planned) == 1 else f"{plan.name} on {plan.data}"
        with progress(what, "slices", console) as report:
            made.append(evaluated(plan, report))
        _write(made[-1], shown=len(planned) == 1)
    if len(planned) > 1:
        folder = planned[0].folder.parent
        cross, *paired = cross_tables(made)
        for table in (cross, *paired):
            write_table(folder, table)
        first = made[0].units[0].unit
        print_by(cross, console, where={"by": first})
        for table in paired:
            print_by(table, console, where={"by": first, "label": ""}, without=["label", *BEFORE_AND_AFTER])
        for remark in dict.fromkeys(line for table in (cross, *paired) for line in table.notes):
            say(remark)
        say(f"tables: {folder}")


def _write(made: "Evaluation", *, shown: bool) -> None:
    from analysis.evaluation.write import tables, write
    from analysis.report.evaluated import write_page
    from analysis.screen import print_by, print_turned

    folder = made.plan.folder
    if shown:
        overall, by_label, *_ = tables(made)
        print_turned(overall, console, known=made.plan.remarks)
        print_by(by_label, console, without=["positive patients"])
    page = write_page(made, write(made, folder), folder)
    say(f"tables: {folder}" if shown else f"page: {page}")
    if shown:
        say(f"page: {page}")
