"""Writes an evaluation to a folder: tables, pictures and `evaluation.json`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from analysis.evaluation.cross import by_store, cross_rows, paired_rows
from analysis.evaluation.draw import draw
from analysis.evaluation.evaluate import Evaluation
from analysis.evaluation.worst import worst
from analysis.tables.crossed import cross_table, paired_models_table
from analysis.tables.evaluated import (
    by_label_table,
    decisions_table,
    errors_table,
    overall_table,
    subgroups_table,
)
from analysis.tables.table import Table
from analysis.tables.writers import write_table
from ichtune.files import replacing
from ichtune.labels import LABELS
from ichtune.runs.records import without_nan
from ichtune.spreadsheet import csv_text

FILE: Final = "evaluation.json"


def tables(made: Evaluation) -> list[Table]:
    """All tables of an evaluation."""
    about, plan = made.plan.about, made.plan
    where = f"{plan.name} on {plan.data}, {plan.chosen.split}"
    behind = population(made)
    groups = [subgroups_table(made.subgroups, f"{where}: subgroups", behind)] if len(made.subgroups) else []
    return [
        overall_table(made.overall, made.no_skill, f"{where}: all metrics", plan.remarks, behind),
        by_label_table(made.by_label, f"{where}: each label", behind),
        decisions_table(
            made.decisions, about.thresholds_chosen, f"{where}: at the model's thresholds", behind
        ),
        errors_table(made.calibration, about.calibration.chosen, f"{where}: errors of probabilities", behind),
        *groups,
    ]


def population(made: Evaluation) -> pd.DataFrame:
    """How often each label occurs among the slices, scans and patients; one row per label."""
    rows = []
    for column, label in enumerate(LABELS):
        row: dict[str, object] = {"label": label}
        for each in made.units:
            known = column in each.known
            truth = each.labels[:, column]
            row[f"{each.unit}s_positive"] = int((truth == 1).sum()) if known else None
            row[f"{each.unit}s_prevalence"] = each.prevalence[column]
        rows.append(row)
    return pd.DataFrame(rows)


def write(made: Evaluation, folder: Path) -> list[Path]:
    """Write everything to a folder; returns the pictures (PNG)."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables(made):
        write_table(folder, table)
    largest = worst(made)
    with replacing(folder / "worst.csv") as file:
        file.write_text(csv_text(largest), encoding="utf-8")
    with replacing(folder / FILE) as file:
        file.write_text(json.dumps(without_nan(_content(made)), indent=2) + "\n", encoding="utf-8")
    return draw(made, largest, folder)


def _content(made: Evaluation) -> dict[str, object]:
    plan = made.plan
    return {
        **plan.facts,
        "split": plan.chosen.split,
        "trained_on": plan.about.fingerprint,
        "evaluated_on": plan.store.fingerprint,
        "remarks": plan.remarks,
        "scores": made.overall.to_dict("records"),
        "no_skill": made.no_skill.to_dict("records"),
        "labels": made.by_label.to_dict("records"),
        "decisions": made.decisions.to_dict("records"),
        "subgroups": made.subgroups.to_dict("records"),
        "calibration": made.calibration.to_dict("records"),
    }


def cross_tables(made: Sequence[Evaluation]) -> list[Table]:
    """The tables of several models or stores: what each scores on each and, of several models, their differences."""
    names = {each.plan.store.fingerprint: each.plan.data for each in made}
    trained_on = {}
    for each in made:
        stores = [names.get(store, f"another store, {store}") for store in each.plan.about.fingerprints]
        trained_on[each.plan.name] = f"trained on {', then '.join(reversed(stores))}"
    stores = by_store(made)
    behind = pd.concat(
        [population(first).assign(store=first.plan.data) for first, *_ in stores], ignore_index=True
    )
    notes = [
        f"{each.plan.name} on {each.plan.data}: {remark}" for each in made for remark in each.plan.remarks
    ]
    tables = [cross_table(cross_rows(made), trained_on, notes, behind)]
    if len(stores[0]) > 1:
        tables.append(paired_models_table(paired_rows(made), behind))
    return tables
