"""A ranking on the screen."""

from collections import Counter
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from analysis.ranking.trial import RankedTrial, recipe_text
from analysis.results import RankedResults
from analysis.tables.ablation import test_table
from analysis.tables.ranked import beside_decimals, notes, score_decimals
from analysis.tables.rounding import interval, shown
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.study import repeated_trials, trial_ends

MOST_ROWS = 15
WIDE, ROOMY = 120, 100  # columns of a terminal that has room for more metrics, and for how trials ended


def print_summary(run: RunFolder, console: Console) -> None:
    """What became of the trials in one line, and a line for each that failed."""
    ends = trial_ends(run)
    counts = Counter(ends.values())
    kinds = {
        "done": counts[TrialEnd.LAST_EPOCH] + counts[TrialEnd.PATIENCE],
        "stopped early": counts[TrialEnd.ASHA],
    }
    kinds |= {
        kind: counts[kind]
        for kind in (TrialEnd.FAILED, TrialEnd.DIVERGED, TrialEnd.INTERRUPTED)
        if counts[kind]
    }
    text = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    if repeats := repeated_trials(run):
        text += f"; {repeats} more proposals were recipes tried before, whose results they took"
    console.print(f"{len(ends)} trials: {text}", highlight=False, soft_wrap=True)
    for folder in run.trial_folders():
        if ends.get(folder.number) == TrialEnd.FAILED:
            console.print(
                f"  {folder.path.name} failed: {escape(folder.last_error())}", highlight=False, soft_wrap=True
            )


def print_ranking(results: RankedResults, console: Console, top: int = MOST_ROWS) -> None:
    """The best trials and, under them, what no skill at all would score; as wide as the screen allows."""
    metrics = beside_decimals(results) if console.width >= WIDE else {}
    certainty, room = results.scores is not None, console.width >= ROOMY
    several = len(results.runs) > 1
    names = " and ".join(run.name for run in results.runs)
    title = f"{names}: {results.metric} on {results.run.request.folds} folds, mean ± deviation"
    table = Table(box=box.SIMPLE, title=escape(title), pad_edge=False, collapse_padding=True)
    heads = [
        "",
        *(["run"] if several else []),
        "trial",
        results.metric,
        *(["95 %", "ranks"] if certainty else []),
    ]
    heads += [*(name.replace("_", "\n") for name in metrics), *(["epoch", "ended"] if room else [])]
    for head in heads:
        table.add_column(head, no_wrap=True)
    table.add_column("what varies")
    digits = score_decimals(results)
    certain = results.certain.to_dict("records")
    for rank, trial in enumerate(results.trials[:top], 1):
        cells = [escape(trial.run.name)] if several else []
        cells += [escape(trial.short_name), _score_cell(trial, digits)]
        cells += _certain_cells(certain[rank - 1], digits) if certainty else []
        cells += [*_other_cells(trial, metrics, ends=room), escape(recipe_text(trial, results.varying))]
        table.add_row(str(rank), *cells, style="bold" if rank == 1 else "")
    table.add_section()
    for row in results.no_skill.to_dict("records"):
        before = ["", *([""] if several else []), "no skill", shown(row["score"], digits)]
        numbers = [shown(row[name], decimals) for name, decimals in metrics.items()]
        gaps = [["", ""] if certainty else [], ["", ""] if room else []]
        table.add_row(*before, *gaps[0], *numbers, *gaps[1], str(row["trial"]), style="dim")
    console.print(table)
    for note in notes(results):
        console.print(escape(note), highlight=False, soft_wrap=True)
    if len(results.trials) > top:
        console.print(f"... and {len(results.trials) - top} more in the tables", highlight=False)


def print_test(results: RankedResults, console: Console) -> None:
    """What the best trial and the baseline score on the test set, a column each."""
    found = test_table(results)
    if found is None:
        console.print(
            "the best trial's model was not kept, so it has no score on the test set", soft_wrap=True
        )
        return
    table = Table(box=box.SIMPLE, title=escape(found.caption), pad_edge=False)
    for head in ("", *found.human["change"]):
        table.add_column(escape(head))
    for name in found.human.columns.drop("change"):
        table.add_row(name, *map(escape, found.human[name]))
    console.print(table)
    for note in found.notes:
        if note not in notes(results):
            console.print(escape(note), highlight=False, soft_wrap=True)


def print_comparison(table: pd.DataFrame, console: Console) -> None:
    """A column a model, a row a number; the table has a row a model."""
    shown_table = Table(box=box.SIMPLE, pad_edge=False)
    shown_table.add_column("", no_wrap=True)
    for name in table["model"]:
        shown_table.add_column(str(name), justify="right")
    for column_name in table.columns.drop("model"):
        shown_table.add_row(column_name, *(shown(value) for value in table[column_name]))
    console.print(shown_table)


def _score_cell(trial: RankedTrial, digits: int) -> str:
    spread = shown(trial.best_epoch.std[trial.metric], digits)
    return f"{shown(trial.score, digits) or 'undefined'} ± {spread or '?'}"


def _certain_cells(row: dict[str, Any], digits: int) -> list[str]:
    if row["rank_low"] != row["rank_low"]:
        return ["", ""]
    ends = interval(row["score_low"], row["score_high"], digits)
    return [ends.replace(" to ", "-"), interval(row["rank_low"], row["rank_high"], 0).replace(" to ", "-")]


def _other_cells(trial: RankedTrial, metrics: dict[str, int], *, ends: bool) -> list[str]:
    mean = trial.best_epoch.mean
    epochs = f"{trial.best_epoch.epoch}/{trial.record.last.epoch}"
    return [
        *(shown(mean[name], decimals) for name, decimals in metrics.items()),
        *([epochs, trial.ended] if ends else []),
    ]
