"""The command that evaluates a model on a store."""

from pathlib import Path
from typing import Annotated

import typer

from analysis.evaluation.options import EvaluateOptions
from ichtune.commands.arguments import takes
from ichtune.commands.terminal import console, note, say


@takes(EvaluateOptions)
def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder of a model, e.g. runs/NAME/retrain/LABEL.")],
    data: Annotated[Path, typer.Option(help="Slice store to evaluate it on.")],
    settings: EvaluateOptions,
) -> None:
    """Evaluate a model on a store: every metric by slice, scan and patient, with intervals by patient."""
    from analysis.evaluation.evaluate import Plan
    from analysis.evaluation.write import tables, write
    from analysis.report.evaluated import write_page
    from analysis.screen import print_by, print_turned
    from ichtune.progress import progress

    plan = Plan.of(model, data, settings)
    for name, text in plan.facts.items():
        say(f"{name}: {text}")
    for remark in plan.remarks:
        note(remark)
    with progress("evaluating", "slices", console) as report:
        made = plan.predicted(report)
    overall, by_label, *_ = tables(made)
    print_turned(overall, console, known=plan.remarks)
    print_by(by_label, [name for name in by_label.human if name not in ("by", "positive patients")], console)
    page = write_page(made, write(made, plan.folder), plan.folder)
    say(f"tables: {plan.folder}")
    say(f"page: {page}")
