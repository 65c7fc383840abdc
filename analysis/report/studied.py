"""A repeated study on one page."""

from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from analysis.pictures.retraining_curves import retraining_curves
from analysis.pictures.style import save
from analysis.report.dataset import Dataset
from analysis.report.figures import figures
from analysis.report.grids import Grid
from analysis.report.page import inline, policy, template
from analysis.report.search_facts import date
from analysis.retraining.compared import CURVES
from analysis.statistics.cohort import Cohort
from analysis.studies.plan import Reproduction
from analysis.studies.run import seconds
from analysis.studies.tables import tables
from analysis.tables.store_facts import store_facts
from analysis.tables.writers import write_table
from ichtune.cross_validation import CrossValidation
from ichtune.files import replacing
from ichtune.json_text import read_json

PAGE: Final = "study.html"


def write_page(planned: Reproduction) -> Path:
    """Write the tables, and the self-contained page; returns its file."""
    made, style, script = tables(planned), inline("report.css"), inline("tables.js")
    for table in made:
        write_table(planned.out / "tables", table)
    cohort = Cohort(planned.store, CrossValidation(planned.store.info.folds))
    pictures = [*_trainings(planned), *(planned.path(picture) for picture in planned.study.pictures)]
    took = seconds(planned)
    page = template("study.html.j2").render(
        study=planned.study,
        now=date(datetime.now()),
        ichtune=version("ichtune"),
        style=style,
        script=script,
        policy=policy([style], [script]),
        differences=planned.differences,
        data=store_facts(planned.store),
        splits=Dataset.of(cohort).splits,
        second=store_facts(planned.second) if planned.second else {},
        tables=[Grid.of(table, known=cohort.notes) for table in made],
        figures=figures([picture for picture in pictures if picture.is_file()]),
        commands=[(command, took.get(command.step.name)) for command in planned.commands],
    )
    with replacing(planned.out / PAGE) as file:
        file.write_text(page, encoding="utf-8")
    return planned.out / PAGE


def _trainings(planned: Reproduction) -> list[Path]:
    """Draw the curves of each retrained model, over those of the search's own training of its recipe."""
    drawn = []
    for step in planned.study.steps:
        metrics = planned.path(step.makes) / "metrics.json"
        if step.command == "retrain" and metrics.is_file():
            history = {name: [records] for name, records in read_json(metrics)["history"].items() if records}
            save(retraining_curves(history), planned.out / "pictures" / step.name, CURVES)
            drawn.append(planned.out / "pictures" / step.name / f"{CURVES}.png")
    return drawn
