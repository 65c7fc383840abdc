"""A ranking as one table: for people with what its uncertainty supports, for programs whole."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.ranking.trial import recipe_text
from analysis.results import RankedResults
from analysis.statistics.population import population, population_notes
from analysis.tables.rounding import decimals_between, decimals_for, interval, shown
from analysis.tables.table import Table
from ichtune.labels import LABELS
from ichtune.runs.folder import RunFolder

BESIDE = ("average_precision", "subset_accuracy", "weighted_log_loss")
"""The metrics that people see beside the score."""
UNSURE = 2
"""Decimals of a label's score that nobody can tell the error of."""
FEW = 5
"""Positive patients below which a label's part of a score is pointed at."""
RETOLD = 5
"""Recipes whose other seeds are told of in words."""


def ranked_table(results: RankedResults) -> Table:
    """The ranking with its no-skill rows, its population and what must be said about it."""
    folds = results.run.request.folds
    names = " and ".join(run.name for run in results.runs)
    return Table(
        name="compared" if len(results.runs) > 1 else "ranked",
        caption=(
            f"Search {names}: {len(results.trials)} trials by {results.metric}, mean over {folds} "
            "patient-grouped folds at the epoch that the search kept of each"
        ),
        rows=results.table,
        below=results.no_skill,
        population=population(results.splits, folds),
        notes=notes(results),
        texts=ranked_texts(results),
    )


def label_table(results: RankedResults, top: int) -> Table:
    """The best trials by label: AUC and average precision with their intervals."""
    rows = results.by_label(list(range(top)))
    return Table(
        name="labels",
        caption=f"Search {results.run.name}: the best {top} trials by label, out of fold, 95 % intervals by patient",
        rows=rows,
        below=pd.DataFrame(columns=rows.columns),
        population=population(results.splits, results.run.request.folds),
        notes=population_notes(results.splits),
        texts=_label_texts(results, rows),
    )


def _label_texts(results: RankedResults, rows: pd.DataFrame) -> pd.DataFrame:
    """The intervals beside their values, with as many digits as each supports."""
    return pd.DataFrame(
        {
            "rank": str(row["rank"]),
            "trial": results.trials[row["rank"] - 1].short_name,
            "label": row["label"],
            "positive patients": str(row["positive_patients"]),
            "AUC (95 %)": _with_interval(row, "auc"),
            "average precision (95 %)": _with_interval(row, "average_precision"),
        }
        for row in rows.to_dict("records")
    )


def _with_interval(row: dict[str, Any], metric: str) -> str:
    """`0.79 (0.72 to 0.87)`, without the brackets where nobody can tell, `undefined` without a value."""
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    decimals = decimals_for((high - low) / 4) if high > low else UNSURE
    ends = interval(low, high, decimals)
    return f"{shown(row[metric], decimals) or 'undefined'}{f' ({ends})' if ends else ''}"


def score_decimals(results: RankedResults) -> int:
    """How many decimals the scores' errors support."""
    return decimals_for(float(np.median(results.scores.errors)) if results.scores else float("nan"))


def difference_decimals(results: RankedResults) -> int:
    """How many decimals the paired differences support, which is often more than the scores do."""
    return decimals_between(results.certain["difference_low"], results.certain["difference_high"])


def notes(results: RankedResults) -> list[str]:
    """What the rows do not say by themselves: ties, how much of the best score is luck, and whom it is of."""
    said, decimals = [], score_decimals(results)
    if results.scores is not None and len(results.measured) > 1:
        tied = int(results.scores.tied_with(0).sum()) - 1
        said.append(
            f"{tied} of the other {len(results.measured) - 1} trials can't be told from the best (paired by patient, "
            "Holm's correction over all pairs; an interval of one difference that leaves 0 out is not enough)"
        )
        said.append(
            f"best score {shown(results.best.score, decimals)}; less what choosing the best of "
            f"{len(results.measured)} has added to it: {shown(results.corrected_best, decimals)}"
        )
    thin = {
        LABELS[label]: count
        for label, count in results.measure.carriers.items()
        if label >= 0 and count < FEW
    }
    if results.scores is not None and thin:
        few = ", ".join(f"{label} ({count})" for label, count in thin.items())
        said.append(f"few patients carry a part of this score, which is a matter of luck: {few}")
    said += _seed_notes(results, decimals)
    if results.metric == "loss":
        said.append("each recipe's loss is on a scale of its own, so this order means little between losses")
    return [*said, *population_notes(results.splits), *map(provenance, results.runs)]


def _seed_notes(results: RankedResults, decimals: int) -> list[str]:
    """What other seeds made of the best recipes; nothing before `--seeds`."""
    if np.isnan(results.noise_floor):
        return []
    again = results.table.dropna(subset="seeds").head(RETOLD)
    told = [
        f"{results.trials[row['rank'] - 1].short_name} {row['seed_mean']:.{decimals}f} (in the search "
        f"{shown(row['score'], decimals)})"
        for row in again.to_dict("records")
    ]
    return [
        f"mean of {again['seeds'].max():.0f} other seeds: {', '.join(told)}",
        f"two trainings of one recipe differ by up to {shown(results.noise_floor, decimals)} by their seeds alone "
        "(95 %)",
    ]


def provenance(run: RunFolder) -> str:
    """What it takes to make the numbers again."""
    request = run.request
    return f"run {run.name}: seed {request.settings.seed}, store {request.fingerprint}"


def ranked_texts(results: RankedResults) -> pd.DataFrame:
    """The columns that people read, as texts; the rows of no skill stand below."""
    decimals = beside_decimals(results) | {"score": score_decimals(results)}
    finer = difference_decimals(results)
    rows = [_texts(results, row, decimals, finer) for row in results.table.to_dict("records")]
    below = [_no_skill_texts(results, row, decimals) for row in results.no_skill.to_dict("records")]
    texts = pd.DataFrame(rows + below).fillna("")
    return texts.loc[:, (texts != "").any()]  # nobody needs an empty column of notes


def _texts(
    results: RankedResults, row: dict[str, Any], decimals: dict[str, int], finer: int
) -> dict[str, str]:
    digits, trial = decimals["score"], results.trials[row["rank"] - 1]
    told = row["rank_low"] == row["rank_low"]
    beside = {
        name.replace("_", " "): shown(row[name], places)
        for name, places in decimals.items()
        if name != "score"
    }
    return {
        "rank": str(row["rank"]),
        **({"run": row["run"]} if "run" in row else {}),
        "trial": trial.short_name,
        results.metric.replace("_", " "): shown(row["score"], digits),
        "95 %": interval(row["score_low"], row["score_high"], digits),
        "folds ±": shown(row["score_std"], digits),
        "to the best (95 %)": ""
        if not told or row["rank"] == 1
        else f"{row['difference']:+.{finer}f} ({interval(row['difference_low'], row['difference_high'], finer)})",
        "tied": "yes" if told and row["tied_with_best"] else "",
        "ranks": interval(row["rank_low"], row["rank_high"], 0) if told else "",
        **_seed_texts(row, digits),
        **beside,
        "labels": shown(row["defined_labels"], 1).removesuffix(".0"),
        "epoch": f"{row['best_epoch']}/{row['last_epoch']}",
        "ended": row["ended"],
        "recipe": recipe_text(trial, results.varying),
        "note": row["note"],
    }


def _seed_texts(row: dict[str, Any], digits: int) -> dict[str, str]:
    """What other seeds made of the recipe, and what seeds alone may do to a difference; nothing before `--seeds`."""
    if np.isnan(row["noise_floor"]):
        return {}
    again = "" if np.isnan(row["seeds"]) else f"{row['seed_mean']:.{digits}f} ({row['seeds']:.0f})"
    return {"other seeds": again, "seed noise": f"{row['noise_floor']:.{digits}f}"}


def _no_skill_texts(results: RankedResults, row: dict[str, Any], decimals: dict[str, int]) -> dict[str, str]:
    beside = {
        name.replace("_", " "): shown(row[name], places)
        for name, places in decimals.items()
        if name != "score"
    }
    return {
        "trial": f"no skill: {row['trial']}",
        results.metric.replace("_", " "): shown(row["score"], decimals["score"]),
        **beside,
        "labels": shown(row["defined_labels"], 1).removesuffix(".0"),
    }


def beside_decimals(results: RankedResults) -> dict[str, int]:
    """The metrics that stand beside the score, and how many decimals they support: by their spread over folds."""
    return {name: _decimals(results, name) for name in BESIDE if name != results.metric}


def _decimals(results: RankedResults, metric: str) -> int:
    spreads = [trial.best_epoch.std[metric] for trial in results.trials]
    known = [spread for spread in spreads if spread == spread]
    return decimals_for(float(np.median(known)) / results.run.request.folds**0.5) if known else 4
