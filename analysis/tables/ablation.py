"""The effect of each single change to the baseline, on validation and test set, and the finalists' test scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.ranking.single_changes import Ablation
from analysis.ranking.trial import RankedTrial
from analysis.statistics.cohort import Cohort
from analysis.statistics.influence import Measure, Truth
from analysis.statistics.significance import Scores
from analysis.tables.rounding import decimals_between, interval, shown
from analysis.tables.table import Table
from analysis.test_set.held_out import HeldOut
from ichtune.runs.folder import RunFolder
from ichtune.space.points import BASELINE

METRICS = {
    "auc": "AUC",
    "subset_accuracy": "accuracy",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
}
TEST, VALIDATION = "test", "validation"


@dataclass(frozen=True)
class Split:
    """A part of the data, its truth, and each trial's logits `[N, 6]` on it (None if there are none)."""

    name: str
    truth: Truth
    no_skill: Mapping[str, Mapping[str, float]]
    """What no-skill predictors score on it."""
    logits: Sequence[np.ndarray | None]
    recorded: Sequence[Mapping[str, float | None]] | None = None
    """The scores that the search recorded; the logits themselves are kept in half precision."""


def ablation_table(run: RunFolder, cohort: Cohort, held_out: HeldOut, ablation: Ablation) -> Table | None:
    """The baseline and the effect of each single change to it; None if the run has no such trials."""
    if len(ablation) < 2:
        return None
    caption = f"Search {run.name}: one change at a time to the point {BASELINE}"
    return _table("ablation", caption, cohort, held_out, ablation)


def test_table(
    run: RunFolder, cohort: Cohort, held_out: HeldOut, best: RankedTrial, baseline: Ablation
) -> Table | None:
    """The best trial beside the baseline on the test set; None until it was scored there."""
    if held_out.logits(best) is None:
        return None
    others = [row for row in baseline if row[0] is not best]
    caption = f"Search {run.name}: the best trial on the test set"
    return _table("test", caption, cohort, held_out, [*others, (best, f"the best: {best.short_name}")])


def _table(name: str, caption: str, cohort: Cohort, held_out: HeldOut, rows: Ablation) -> Table:
    trials = [trial for trial, _ in rows]
    splits = _splits(cohort, held_out, trials)
    front = pd.DataFrame(
        {"trial": [trial.name for trial in trials], "change": [change for _, change in rows]}
    )
    whole = pd.concat([front, *(scores_on(split, metric) for split in splits for metric in METRICS)], axis=1)
    below = _no_skill(splits)
    return Table(
        name=name,
        caption=caption + "; differences to the first row, 95 % intervals by patient",
        rows=whole,
        below=below,
        population=cohort.population,
        notes=[*_test_notes(held_out), *cohort.notes],
        texts=_texts(whole, below, splits),
    )


def _splits(cohort: Cohort, held_out: HeldOut, trials: Sequence[RankedTrial]) -> list[Split]:
    """Validation, preceded by the test set if any of the trials was scored on it."""
    recorded = [trial.scores.mean for trial in trials]
    kept = [trial.logits for trial in trials]
    validation = Split(VALIDATION, cohort.truth, cohort.no_skill, kept, recorded)
    on_test = [held_out.logits(trial) for trial in trials]
    if all(logits is None for logits in on_test):
        return [validation]
    return [Split(TEST, held_out.truth, held_out.no_skill, on_test), validation]


def scores_on(split: Split, metric: str) -> pd.DataFrame:
    """A metric of each trial on a split and its paired difference to the first trial, each with its interval.

    Columns `<split>_<metric>`, with suffixes `_low`, `_high`, `_difference`, `_difference_low`, `_difference_high`.
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
        places = list(known)
        if split.recorded is not None:
            scores = replace(
                scores, values=np.array([split.recorded[place][metric] for place in places], float)
            )
        numbers[places, 0], numbers[places, 1:3] = scores.values, scores.intervals()
        if places[0] == 0:
            numbers[places[1:], 3:] = scores.differences(0)[1:]
    return pd.DataFrame(numbers, columns=names)


def _no_skill(splits: list[Split]) -> pd.DataFrame:
    by_split = {split.name: split.no_skill for split in splits}
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
    looks = len(held_out.looks)
    if not looks:
        return [
            "the test set has not been used: `ichtune rank RUN --test` scores these trials on it (once, at the end)"
        ]
    how = "test: the mean probability of all folds' models; validation: each fold's own model, out of fold"
    if looks == 1:
        return [how]
    return [
        how,
        f"the test set was used {looks} times: once a choice follows from it, it no longer counts as held out",
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
    """`0.713 (+0.0100, -0.0214 to 0.0414)`; the first row has its own interval, and constant values have none."""
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
