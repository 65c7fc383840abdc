"""A ranking on the screen."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from analysis.ranking.order import Ranking
from analysis.tables.digits import BESIDE
from analysis.tables.ranked import SEEDS
from analysis.tables.rounding import shown, with_intervals
from analysis.tables.table import Table
from ichtune.metric_names import in_words
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.study import repeated_trials, trial_ends

MOST_ROWS = 15
MANY_TRIALS = 4000
"""The time to compare trials grows with the square of their number; for so many it is about a minute."""
RECIPE = "what varies"
PARTS = ("validation", "test")
WIDE, ROOMY = 120, 100  # terminal widths that fit more metrics, and how trials ended
_NEEDS = {"settings": ROOMY, "ended": WIDE, "all at once": WIDE}
"""The terminal width from which on a column of a promoted run's table is shown."""


def print_summary(run: RunFolder, console: Console) -> None:
    """Print how many trials ended in which way, and a line for each that failed."""
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
        text += f"; {repeats} more proposals repeated earlier recipes and reused their results"
    console.print(f"{len(ends)} trials: {text}", highlight=False, soft_wrap=True)
    for folder in run.trial_folders():
        if ends.get(folder.number) == TrialEnd.FAILED:
            console.print(
                escape(f"  {folder.path.name} failed: {folder.last_error()}"), highlight=False, soft_wrap=True
            )


def announce_ranking(ranking: Ranking, console: Console) -> None:
    """Say that a ranking takes its time, where it does."""
    if len(ranking.trials) >= MANY_TRIALS:
        console.print(f"comparing {len(ranking.trials):,} trials with one another, which takes minutes")


def print_ranking(ranking: Ranking, ranked: Table, console: Console, top: int = MOST_ROWS) -> None:
    """Print the best trials and the no-skill rows below them, with as many columns as fit the screen.

    `ranked` is the ranking's table, which provides the texts.
    """
    several = ranking.validation.trainings > 1
    on = f"{ranking.validation} folds, mean ± SD" if several else "one fold"
    title = f"{ranking.names}: {ranking.metric} on {on}"
    screen = Grid(box=box.SIMPLE, title=escape(title), pad_edge=False, collapse_padding=True)
    columns = _columns(ranked, ranking.metric, console.width, several=several)
    for head in columns:
        screen.add_column(head, no_wrap=head != RECIPE)
    count = len(ranked.rows)
    rows = [[escape(text) for text in row] for row in zip(*columns.values(), strict=True)]
    for place, row in enumerate(rows[: min(top, count)]):
        screen.add_row(*row, style="" if place else "bold")
    screen.add_section()
    for row, way in zip(rows[count:], ranked.below["trial"], strict=True):
        screen.add_row(*row[:-1], escape(str(way)), style="dim")
    console.print(screen)
    for note in ranked.notes:
        console.print(escape(note), highlight=False, soft_wrap=True)
    if count > top:
        console.print(f"... and {count - top} more in the tables", highlight=False)


def _columns(ranked: Table, metric: str, width: int, *, several: bool) -> dict[str, list[str]]:
    """The table's columns that fit the screen, by heading; the no-skill rows come last.

    Scores are followed by their deviation if they are the mean of several folds.
    """
    texts = {name: list(ranked.human[name]) for name in ranked.human}
    count, score = len(ranked.rows), metric.replace("_", " ")
    values = texts.get(score, [""] * len(ranked.human))
    columns = {"": texts["rank"], **({"run": texts["run"]} if "run" in texts else {})}
    columns["trial"] = [*texts["trial"][:count], *["no skill"] * (len(values) - count)]
    scores = [value or "undefined" for value in values[:count]]
    if several:
        spreads = texts.get("folds ±", [""] * count)
        scores = [f"{text} ± {spread or '?'}" for text, spread in zip(scores, spreads, strict=False)]
    columns[metric] = [*scores, *values[count:]]
    if SEEDS in texts:
        columns[SEEDS] = texts[SEEDS]
    if "ranks" in texts:
        for head in ("95 %", "ranks"):
            columns[head] = [text.replace(" to ", "-") for text in texts.get(head, [""] * len(values))]
    if width >= WIDE:
        beside = (name.replace("_", " ") for name in BESIDE if name != metric)
        columns |= {name.replace(" ", "\n"): texts[name] for name in beside if name in texts}
    if width >= ROOMY:
        columns |= {head: texts[head] for head in ("epoch", "ended")}
    return columns | {RECIPE: texts.get("recipe", [""] * len(values))}


def no_score(ranking: Ranking) -> str:
    """Why there is no best trial if none has a score."""
    if all(trial.diverged for trial in ranking.trials):
        return "no trial has a score, because all of them diverged; a lower learning rate may help"
    return f"no trial has a score: {ranking.metric} is undefined on every fold, or the training diverged"


def print_test(found: Table | None, console: Console, *, known: Collection[str]) -> None:
    """Print what the best trial and the baseline score on the test set, one column each, without the `known` notes."""
    if found is None:
        console.print(
            "the best trial's model was not kept, so it has no score on the test set", soft_wrap=True
        )
        return
    screen = Grid(box=box.SIMPLE, title=escape(found.caption), pad_edge=False)
    for head in ("", *found.human["change"]):
        screen.add_column(escape(head))
    for name in found.human.columns.drop("change"):
        screen.add_row(name, *map(escape, found.human[name]))
    console.print(screen)
    for note in found.notes:
        if note not in known:
            console.print(escape(note), highlight=False, soft_wrap=True)


def print_promoted(tables: Sequence[Table], console: Console, *, known: Collection[str]) -> None:
    """Print a promoted run's tables, with as many columns as fit the screen, without the `known` notes."""
    seen = set(known)
    for table in tables:
        hidden = {head for head, width in _NEEDS.items() if console.width < width}
        columns = [name for name in table.human if name not in hidden]
        screen = Grid(box=box.SIMPLE, title=escape(table.caption), pad_edge=False, collapse_padding=True)
        for head in columns:
            screen.add_column(head, no_wrap=head not in ("settings", "between"))
        for row in table.human[columns].itertuples(index=False):
            screen.add_row(*map(escape, row))
        console.print(screen)
        for note in table.notes:
            if note not in seen:
                console.print(escape(note), highlight=False, soft_wrap=True)
        seen.update(table.notes)


def print_comparison(table: pd.DataFrame, console: Console) -> None:
    """Print a table of models (one row each) with a column per model, part by part."""
    shown_table = Grid(box=box.SIMPLE, pad_edge=False)
    shown_table.add_column("", no_wrap=True)
    for name in table["model"]:
        shown_table.add_column(escape(str(name)), justify="right")
    last = ""
    for column_name in table.columns.drop("model"):
        part, _, metric = column_name.partition("_")
        if part not in PARTS:
            part, metric = last, column_name
        if part != last:
            shown_table.add_section()
            shown_table.add_row(part, style="bold")
            last = part
        shown_table.add_row(metric.replace("_", " "), *(shown(value) for value in table[column_name]))
    console.print(shown_table)


def print_paired(paired: pd.DataFrame, console: Console) -> None:
    """Print how much a retraining adds to each score, with its interval; nothing if it isn't known."""
    if not len(paired):
        return
    screen = Grid(box=box.SIMPLE, pad_edge=False, title="retrained minus searched (95 %)")
    screen.add_column("", no_wrap=True)
    texts = with_intervals(paired["difference"], paired["low"], paired["high"])
    parts = list(dict.fromkeys(paired["part"]))
    for part in parts:
        screen.add_column(escape(part), justify="right")
    for metric in dict.fromkeys(paired["metric"]):
        here = paired["metric"] == metric
        screen.add_row(in_words(metric), *(text for text, is_it in zip(texts, here, strict=True) if is_it))
    console.print(screen)


def print_table(table: Table, console: Console) -> None:
    """Print a table's texts, one block per row, so that any width holds it."""
    for _, row in table.human.iterrows():
        screen = Grid(
            box=box.SIMPLE, pad_edge=False, show_header=False, title=escape(f"{row['part']}: {row['model']}")
        )
        screen.add_column(no_wrap=True)
        screen.add_column()
        for name in row.index.drop(["part", "model"]):
            if row[name]:
                screen.add_row(escape(name), escape(str(row[name])))
        console.print(screen)
    for note in table.notes:
        console.print(escape(note), highlight=False, soft_wrap=True)


def print_turned(table: Table, console: Console, *, known: Collection[str]) -> None:
    """Print a table's texts with a column per row, those below in a block of their own, without the `known` notes."""
    count = len(table.rows)
    for caption, texts in ((table.caption, table.human[:count]), ("no skill", table.human[count:])):
        screen = Grid(box=box.SIMPLE, pad_edge=False, title=escape(caption))
        heads, *lines = texts.T.itertuples()
        screen.add_column("", no_wrap=True)
        for head in heads[1:]:
            screen.add_column(escape(head), justify="right")
        for name, *cells in lines:
            if any(cells):
                screen.add_row(*map(escape, (name, *cells)))
        console.print(screen)
    for note in table.notes:
        if note not in known:
            console.print(escape(note), highlight=False, soft_wrap=True)


def print_by(
    table: Table, console: Console, *, without: Collection[str] = (), where: Mapping[str, str] | None = None
) -> None:
    """Print a table without some of its columns, with a section for each value of its column `by`.

    `where` keeps the rows that have these texts in these columns.
    """
    kept = table.human
    for name, text in (where or {}).items():
        kept = kept[kept[name] == text]
    columns = [name for name in kept if name != "by" and name not in without]
    screen = Grid(box=box.SIMPLE, pad_edge=False, collapse_padding=True, title=escape(table.caption))
    for head in columns:
        screen.add_column(escape(head))
    for by, rows in kept.groupby("by", sort=False):
        screen.add_section()
        screen.add_row(escape(f"by {by}"), style="bold")
        for row in rows[columns].itertuples(index=False):
            screen.add_row(*map(escape, row))
    console.print(screen)
