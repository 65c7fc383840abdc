"""An evaluation on one page."""

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from analysis.evaluation.evaluate import Evaluation
from analysis.evaluation.write import tables
from analysis.report.figures import figures
from analysis.report.grids import Grid
from analysis.report.page import inline, policy, template
from analysis.report.search_facts import date
from analysis.tables.evaluated import BEHIND
from ichtune.files import replacing

FILE: Final = "evaluation.html"


def write_page(made: Evaluation, pictures: Sequence[Path], folder: Path) -> Path:
    """Write the self-contained `evaluation.html` with these PNG pictures; returns the file."""
    plan, style, script = made.plan, inline("report.css"), inline("tables.js")
    page = template("evaluation.html.j2").render(
        title=f"{plan.name} on {plan.data}",
        now=date(datetime.now()),
        ichtune=version("ichtune"),
        style=style,
        script=script,
        policy=policy([style], [script]),
        about=plan.facts,
        remarks=plan.remarks,
        tables=[Grid.of(table, BEHIND, plan.remarks) for table in tables(made)],
        figures=figures(pictures),
    )
    with replacing(folder / FILE) as file:
        file.write_text(page, encoding="utf-8")
    return folder / FILE
