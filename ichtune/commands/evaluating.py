"""The command that evaluates models on stores."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analysis.evaluation.options import EvaluateOptions
from ichtune.commands.arguments import takes
from ichtune.commands.terminal import console, note, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.evaluation.evaluate import Evaluation
    from analysis.evaluation.plan import Plan


@takes(EvaluateOptions)
def evaluate(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL...", help="Folders of models, e.g. runs/NAME/retrain/LABEL."),
    ],
    data: Annotated[list[Path], typer.Option(help="Slice store to evaluate on; give it again for several.")],
    settings: EvaluateOptions,
) -> None:
    """Evaluate models on stores: every metric by slice, scan and patient, with intervals by patient."""
    from analysis.evaluation.cross import plans

    planned = plans(models, data, settings)
    for plan in planned:
        for name, text in plan.facts.items():
            say(f"{name}: {text}")
        for remark in plan.remarks:
            note(remark)
    evaluate_and_show(planned)


def evaluate_and_show(planned: "Sequence[Plan]") -> None:
    """Evaluate all plans, write and print their scores and, of several, their comparison."""
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
