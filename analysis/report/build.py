"""Assembles a report: one template, its data, its style and its scripts in one file."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from analysis.findings import Findings
from analysis.report import repeat
from analysis.report.coordinates import parallel
from analysis.report.dataset import Dataset
from analysis.report.figures import figures
from analysis.report.grids import Cell, Grid
from analysis.report.page import inline, policy, template
from analysis.report.retrained import RetrainedModel, comparisons, retrained_models
from analysis.report.search_facts import date, endings, searched_when, settings_of, space_text
from analysis.report.summary import Summary
from analysis.results import RankedResults
from analysis.tables.ranked import SEEDS
from ichtune.files import replacing
from ichtune.space import Space

FILE: Final = "report.html"
MOST_TRIALS: Final = 2000
"""The most trials that a page shows; the tables in the run's results have all."""


def write_report(findings: Findings, pictures: Sequence[Path]) -> Path:
    """Write the self-contained `RUN/report.html` with these PNG pictures; returns the file."""
    file = findings.results.run.path / FILE
    with replacing(file) as beside:
        beside.write_text(report_page(findings, pictures), encoding="utf-8")
    return file


def report_page(findings: Findings, pictures: Sequence[Path]) -> str:
    """The report as HTML."""
    results, run = findings.results, findings.results.run
    space, (models, damaged) = run.request.space, retrained_models(run)
    style, scripts = inline("report.css"), [inline("tables.js"), inline("parallel.js")]
    return template("template.html.j2").render(
        run=run.name,
        now=date(datetime.now()),
        when=searched_when(run),
        ichtune=run.request.versions["ichtune"],
        style=style,
        scripts=scripts,
        policy=policy([style], scripts),
        verdict=results.promoted.verdict,
        summary=Summary(results, models),
        comparisons=comparisons(run),
        data=Dataset.of(results.cohort),
        space_text=space_text(space),
        settings=settings_of(run),
        endings=endings(run),
        tables=_tables(findings),
        hidden=max(len(results.trials) - MOST_TRIALS, 0),
        **_coordinates(results, space),
        figures=figures(pictures),
        remarks=findings.remarks,
        models=models,
        damaged=damaged,
        **_repeating(results, space, models),
    )


def _tables(findings: Findings) -> dict[str, Grid]:
    """Every table by its name; the ranking, with or without a second run, is `ranked`."""
    results = findings.results
    # The population is in the report's section on data, and remarks are next to what they are about.
    known = {*results.cohort.notes, *findings.remarks, results.promoted.verdict}
    grids = {table.name: Grid.of(table, _values(results), known) for table in findings.tables}
    ranked = grids.get("ranked") or grids.pop("compared")
    return grids | {"ranked": replace(ranked, rows=ranked.rows[:MOST_TRIALS])}


def _values(results: RankedResults) -> dict[str, str]:
    """The numeric columns behind those columns of the ranking that have another name."""
    return {
        results.metric.replace("_", " "): "score",
        "95 %": "score_low",
        "folds ±": "score_std",
        "to the best (95 %)": "difference",
        "tied": "tied_with_best",
        "ranks": "rank_low",
        SEEDS: "seed_std",
        "other seeds": "seed_mean",
        "seed noise": "noise_floor",
        "labels": "defined_labels",
        "epoch": "best_epoch",
        "frozen": "frozen_score",
        "fine-tuned": "tuned_score",
        "difference (95 %)": "difference",
        "all at once": "simultaneous_low",
        "of": "tuned_trials",
    }


def _coordinates(results: RankedResults, space: Space) -> dict[str, Any]:
    """The data of the parallel coordinates, and the table below them with one row per trial."""
    varying = [dimension for dimension in space.dimensions if dimension.name in results.varying]
    data = parallel(results.ranking, varying, decimals=results.digits.score, most=MOST_TRIALS)
    columns = ["rank", "trial", data["axes"][-1]["name"], *(axis["name"] for axis in data["axes"][:-1])]
    rows = []
    for rank, (shown, trial) in enumerate(zip(data["trials"], results.trials, strict=False), 1):
        values = [trial.record.params.get(dimension.name) for dimension in varying]
        score = "" if trial.score != trial.score else repr(float(trial.score))
        rows.append(
            [
                Cell(str(rank), str(rank)),
                Cell(shown["name"]),
                Cell(shown["texts"][-1], score),
                *(_cell(text, value) for text, value in zip(shown["texts"][:-1], values, strict=True)),
            ]
        )
    caption = "Trials and their varying settings; a dash means that the recipe does not have the setting"
    return {"parallel": data if varying else None, "trials": Grid(caption, columns, rows, [], [])}


def _cell(text: str, value: Any) -> Cell:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(text, repr(value) if number else "")


def _repeating(results: RankedResults, space: Space, models: list[RetrainedModel]) -> dict[str, Any]:
    run, store = results.run, results.store
    preset = repeat.preset_of(space)
    looked = bool(results.held_out.looks)
    return {
        "commands": {
            "prepare the store": repeat.prepare_command(store.info, store.path.name),
            "search": repeat.search_command(run, store.path.name, preset or f"{run.name}.yaml"),
            **{f"retrain the model {model.label}": repeat.retrain_command(run, model) for model in models},
            "rank": repeat.rank_command(run, test=looked),
            "write this report": repeat.report_command(run),
        },
        "retrain_best": repeat.retrain_best_command(run),
        "space_yaml": None if preset else space.to_yaml().strip(),
        "versions": repeat.versions_of(run),
        "search_yaml": repeat.search_yaml(run),
    }
