"""What one change to the baseline does, on validation and on the test set, and what the finalists score there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.ranking.differences import Difference, recipe_differences
from analysis.ranking.trial import RankedTrial
from analysis.results import RankedResults
from analysis.statistics.influence import Measure, Truth
from analysis.statistics.population import no_skill_rows, population, population_notes
from analysis.statistics.significance import Scores
from analysis.tables.rounding import decimals_between, interval, shown
from analysis.tables.table import Table
from analysis.test_set.held_out import HeldOut
from ichtune.config import Recipe, effective
from ichtune.space.points import BASELINE

METRICS = {
    "auc": "AUC",
    "subset_accuracy": "accuracy",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
}
TEST, VALIDATION = "test", "validation"
_WHOLE = ("loss", "optimizer", "schedule")
"""Sections of which another kind, with all of its own values, is one change."""


@dataclass(frozen=True)
class Split:
    """A part of the data, its truth, and each trial's logits `[N, 6]` on it (None where there are none)."""

    name: str
    truth: Truth
    logits: Sequence[np.ndarray | None]
    recorded: Sequence[Mapping[str, float | None]] | None = None
    """The scores that the search recorded, of logits that it kept in half precision."""


def finalists(results: RankedResults) -> list[RankedTrial]:
    """The trials to score on the test set: the best one, the baseline, and what differs from that by one change."""
    return list(
        {trial.name: trial for trial in (results.best, *(trial for trial, _ in ablations(results)))}.values()
    )


def ablations(results: RankedResults) -> list[tuple[RankedTrial, str]]:
    """The baseline and each trial that differs from it in one thing, with that in words; none without a baseline."""
    baseline = next((trial for trial in results.trials if trial.record.point == BASELINE), None)
    if baseline is None:
        return []
    changed = []
    for trial in results.trials:
        change = _one_change(recipe_differences(_recipe(baseline), _recipe(trial)))
        if change and trial.run is baseline.run:
            changed.append((trial, change))
    return [(baseline, BASELINE), *changed]


def ablation_table(results: RankedResults) -> Table | None:
    """The baseline and what each one change to it does; None where the run has no such trials."""
    rows = ablations(results)
    if len(rows) < 2:
        return None
    caption = f"Search {results.run.name}: one change at a time to the point {BASELINE}"
    return _table("ablation", caption, results, rows)


def test_table(results: RankedResults) -> Table | None:
    """The best trial beside the baseline on the test set; None as long as that was not looked at."""
    held_out = HeldOut(results.run, results.store)
    if held_out.logits(results.best) is None:
        return None
    others = [row for row in ablations(results)[:1] if row[0] is not results.best]
    caption = f"Search {results.run.name}: the best trial on the test set"
    return _table("test", caption, results, [*others, (results.best, f"the best: {results.best.short_name}")])


def _recipe(trial: RankedTrial) -> Recipe:
    return effective(trial.record.recipe)


def _one_change(differences: list[Difference]) -> str:
    """The change in words if it is a single one, else nothing."""
    if len(differences) == 1:
        return str(differences[0])
    sections = {difference.what.partition(".")[0] for difference in differences}
    kinds = [difference for difference in differences if difference.what.endswith(".name")]
    if len(sections) != 1 or not kinds or not sections <= set(_WHOLE):
        return ""
    values = [
        difference
        for difference in differences
        if difference not in kinds and difference.retrained is not None
    ]
    return ", ".join([str(kinds[0]), *(f"{value.what} {value.change.split(' -> ')[1]}" for value in values)])


def _table(name: str, caption: str, results: RankedResults, rows: list[tuple[RankedTrial, str]]) -> Table:
    trials = [trial for trial, _ in rows]
    held_out = HeldOut(results.run, results.store)
    on_test = [held_out.logits(trial) for trial in trials]
    recorded = [trial.best_epoch.mean for trial in trials]
    splits = [Split(VALIDATION, results.truth, [trial.logits for trial in trials], recorded)]
    if any(logits is not None for logits in on_test):
        splits.insert(0, Split(TEST, held_out.truth, on_test))
    front = pd.DataFrame(
        {"trial": [trial.name for trial in trials], "change": [change for _, change in rows]}
    )
    columns = [scores_on(split, metric) for split in splits for metric in METRICS]
    whole = pd.concat([front, *columns], axis=1)
    return Table(
        name=name,
        caption=caption + "; differences to the first row, 95 % intervals by patient",
        rows=whole,
        below=_no_skill(results, splits),
        population=population(results.splits, results.run.request.folds),
        notes=[*_test_notes(held_out), *population_notes(results.splits)],
        texts=_texts(whole, _no_skill(results, splits), splits),
    )


def scores_on(split: Split, metric: str) -> pd.DataFrame:
    """A metric of each trial on a split with its interval, and its paired difference to the first trial with its own.

    Columns `<split>_<metric>` and with `_low`, `_high`, `_difference`, `_difference_low`, `_difference_high`.
    """
    name = f"{split.name}_{metric}"
    names = [
        name,
        f"{name}_low",
        f"{name}_high",
        *(f"{name}_difference{end}" for end in ("", "_low", "_high")),
    ]
    numbers = np.full((len(split.logits), len(names)), np.nan)
    known = {place: logits for place, logits in enumerate(split.logits) if logits is not None}
    if known:
        scores = Scores.of(Measure(metric, split.truth), known.values())
        told = list(known)
        if split.recorded is not None:
            scores = replace(
                scores, values=np.array([split.recorded[place][metric] for place in told], float)
            )
        numbers[told, 0], numbers[told, 1:3] = scores.values, scores.intervals()
        if told[0] == 0:
            numbers[told[1:], 3:] = scores.differences(0)[1:]
    return pd.DataFrame(numbers, columns=names)


def _no_skill(results: RankedResults, splits: list[Split]) -> pd.DataFrame:
    by_split = {split.name: no_skill_rows(results.store, list(split.truth.folds)) for split in splits}
    ways = by_split[VALIDATION]
    return pd.DataFrame(
        [
            {"trial": "no skill", "change": way}
            | {
                f"{split}_{metric}": rows[way][metric]
                for split, rows in by_split.items()
                for metric in METRICS
            }
            for way in ways
        ]
    )


def _test_notes(held_out: HeldOut) -> list[str]:
    if not held_out.looks:
        return [
            "the test set was not looked at: `ichtune rank RUN --test` scores these trials on it, once, at the end"
        ]
    said = "test: the mean probability of the models of all folds; validation: each fold's model out of fold"
    if len(held_out.looks) == 1:
        return [said]
    return [
        said,
        f"the test set was looked at {len(held_out.looks)} times: if a choice followed from it, it is none",
    ]


def _texts(rows: pd.DataFrame, below: pd.DataFrame, splits: list[Split]) -> pd.DataFrame:
    names = {
        f"{split.name}_{metric}": f"{split.name} {METRICS[metric]}" for split in splits for metric in METRICS
    }
    places = {name: (_decimals(rows, name), _decimals(rows, f"{name}_difference")) for name in names}
    texts: list[dict[str, str]] = []
    for row in [*rows.to_dict("records"), *below.to_dict("records")]:
        change = str(row["change"]) if row["trial"] != "no skill" else f"no skill: {row['change']}"
        cells = {title: _cell(row, name, *places[name]) for name, title in names.items()}
        texts.append({"change": change, **cells})
    return pd.DataFrame(texts)


def _decimals(rows: pd.DataFrame, name: str) -> int:
    return decimals_between(rows[f"{name}_low"], rows[f"{name}_high"])


def _cell(row: dict[str, Any], name: str, decimals: int, finer: int) -> str:
    """`0.713 (+0.0100, -0.0214 to 0.0414)`; of the first row its own interval, and nothing of what does not vary."""
    value = shown(row[name], decimals)
    difference = row.get(f"{name}_difference", np.nan)
    if np.isnan(difference):
        beside = _ends(row, name, decimals)
    else:
        moved = f"{difference:+.{finer}f}" if difference else ""
        beside = ", ".join(filter(None, [moved, _ends(row, f"{name}_difference", finer)]))
    return f"{value} ({beside})" if beside else value


def _ends(row: dict[str, Any], name: str, decimals: int) -> str:
    low, high = row.get(f"{name}_low", np.nan), row.get(f"{name}_high", np.nan)
    return interval(low, high, decimals) if low < high else ""
