"""A ranking on the screen and in a run's results folder."""

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from analysis.rank import RankedResults, RankedTrial, column, varying_parameters
from analysis.tables import shown, write_tables
from ichtune.search.run_folder import RunFolder
from ichtune.search.study import FAILED, repeated_trials, trial_ends

MOST_ROWS = 15
WIDE, ROOMY = 120, 100  # columns of a terminal that has room for more metrics, and for intervals
ON_SCREEN = ("average_precision", "subset_accuracy", "weighted_log_loss")


def write_ranking(results: RankedResults) -> list[Path]:
    """Write results/ranked.csv, .md, .tex, .html and .json; gives the files."""
    folds = results.run.asked["folds"]
    caption = (
        f"Search {results.run.name}: {len(results.trials)} trials by {results.metric}, mean over {folds} "
        "patient-grouped folds at each trial's best epoch"
    )
    return write_tables(results.run.results, "ranked", results.table, below=results.no_skill, caption=caption)


def print_summary(run: RunFolder, console: Console) -> None:
    """What became of the trials in one line, and a line for each that failed."""
    ends = trial_ends(run)
    counts = Counter(ends.values())
    kinds = {"done": counts["last epoch"] + counts["patience"], "stopped early": counts["asha"]}
    kinds |= {kind: counts[kind] for kind in ("failed", "diverged", "interrupted") if counts[kind]}
    text = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    if repeats := repeated_trials(run):
        text += f"; {repeats} more proposals were recipes tried before, whose results they took"
    console.print(f"{len(ends)} trials: {text}", highlight=False, soft_wrap=True)
    for folder in run.trial_folders():
        if ends.get(folder.number) == FAILED:
            console.print(
                f"  {folder.path.name} failed: {escape(folder.last_error())}", highlight=False, soft_wrap=True
            )


def print_ranking(results: RankedResults, console: Console) -> None:
    """The best trials and, under them, what no skill at all would score; as wide as the screen allows."""
    varying = varying_parameters([trial.record.params for trial in results.trials])
    metrics = ON_SCREEN if console.width >= WIDE else ()
    certain = results.certain.to_dict("records")
    sure = any(row["rank_low"] == row["rank_low"] for row in certain)
    room = sure and console.width >= ROOMY
    title = f"{results.run.name}: {results.metric} on {results.run.asked['folds']} folds, mean ± deviation"
    table = Table(box=box.SIMPLE, title=title, pad_edge=False, collapse_padding=True)
    for name in (
        "",
        "trial",
        results.metric,
        *(("95 %", "ranks") if room else ()),
        *(name.replace("_", "\n") for name in metrics),
        "epoch",
        "ended",
    ):
        table.add_column(name, no_wrap=True)
    table.add_column("what varies")
    for rank, trial in enumerate(results.trials[:MOST_ROWS], 1):
        cells = _cells(trial, metrics, varying)
        cells[2:2] = _certain_cells(certain[rank - 1]) if room else []
        table.add_row(str(rank), *cells, style="bold" if rank == 1 else "")
    table.add_section()
    for row in results.no_skill.to_dict("records"):
        numbers = [shown(row[column(name)]) for name in (results.metric, *metrics)]
        numbers[1:1] = ["", ""] if room else []
        table.add_row("", "no skill", *numbers, "", "", str(row["trial"]), style="dim")
    console.print(table)
    if sure:
        _print_certainty(results, console)
    if len(results.trials) > MOST_ROWS:
        console.print(f"... and {len(results.trials) - MOST_ROWS} more in the tables", highlight=False)


def print_comparison(table: pd.DataFrame, console: Console) -> None:
    """A column a model, a row a number; the table has a row a model."""
    shown_table = Table(box=box.SIMPLE, pad_edge=False)
    shown_table.add_column("", no_wrap=True)
    for name in table["model"]:
        shown_table.add_column(str(name), justify="right")
    for column_name in table.columns.drop("model"):
        shown_table.add_row(column_name, *(shown(value) for value in table[column_name]))
    console.print(shown_table)


def _certain_cells(row: dict[str, Any]) -> list[str]:
    if row["rank_low"] != row["rank_low"]:
        return ["", ""]
    ranks = (
        f"{row['rank_low']}-{row['rank_high']}"
        if row["rank_low"] < row["rank_high"]
        else str(row["rank_low"])
    )
    return [f"{row['score_low']:.2f}-{row['score_high']:.2f}", ranks]


def _print_certainty(results: RankedResults, console: Console) -> None:
    """What the table does not say by itself: ties, and how much of the best score is luck."""
    tied = int((results.certain["tied_with_best"] == True).sum()) - 1  # noqa: E712, as cells may be missing
    if tied > 0:
        console.print(
            f"{tied} of the others can't be told from the best (paired by patient, corrected for all comparisons)",
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"best score {results.best.score:.4f}; less what choosing the best of {len(results.trials)} adds to it: "
        f"{results.corrected_best:.4f}",
        highlight=False,
        soft_wrap=True,
    )


def _cells(trial: RankedTrial, metrics: tuple[str, ...], varying: list[str]) -> list[str]:
    row, params = trial.row(), trial.record.params
    return [
        escape(trial.record.point or f"{trial.record.number:04d}"),
        f"{row['score']:.4f} ± {shown(row['score_std']) or '?'}",
        *(shown(row[column(name)]) for name in metrics),
        f"{row['best_epoch']}/{row['last_epoch']}",
        row["ended"],
        escape(", ".join(_short(name, params[name]) for name in varying if name in params)),
    ]


def _short(name: str, value: Any) -> str:
    """A parameter without what its branch says already: `lr 0.0031`; a choice by its value alone."""
    if isinstance(value, str):
        return value
    digits = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"{name.rpartition('.')[2]} {digits}"
