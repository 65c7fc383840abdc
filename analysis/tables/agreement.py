"""How far a frozen ranking agrees with the fine-tuned one, as a table and in plain sentences."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.ranking.frozen_and_tuned import FrozenAndTuned
from analysis.statistics.agreement import FEWEST, Estimate
from analysis.statistics.cohort import Cohort
from analysis.tables.rounding import interval, shown
from analysis.tables.table import Table
from ichtune.wording import plural

NAME = "agreement"
DECIMALS = 2


class Row(NamedTuple):
    """One kind of agreement between two orders of the recipes."""

    quantity: str
    """Its stable name, for programs."""
    between: str
    tau: Estimate


def agreement_table(both: FrozenAndTuned, cohort: Cohort) -> Table | None:
    """Kendall's tau between the orders, and what errors make of it; None for too few recipes."""
    found = _rows(both)
    if not found:
        return None
    rows = pd.DataFrame(
        [(row.quantity, row.between, *row.tau) for row in found],
        columns=["quantity", "between", "tau", "tau_low", "tau_high"],
    )
    return Table(
        name=NAME,
        caption=(
            f"Search {both.ranking.names}: Kendall's tau between the orders of "
            f"{plural(len(both.complete), 'recipe', 'recipes')} by {both.ranking.metric}"
        ),
        rows=rows,
        below=pd.DataFrame(columns=rows.columns),
        population=cohort.population,
        notes=[verdict(both), *_notes(both), *cohort.notes],
        texts=pd.DataFrame(
            {
                "between": rows["between"],
                "tau": [shown(round(float(row.tau.value), DECIMALS) + 0.0, DECIMALS) for row in found],
                "95 %": [interval(row.tau.low, row.tau.high, DECIMALS) for row in found],
            }
        ),
    )


def _rows(both: FrozenAndTuned) -> list[Row]:
    if math.isnan(both.tau):
        return []
    known, measured = both.agreement, "the measured orders, frozen and fine-tuned"
    if known is None:
        return [Row("measured", measured, _point(both.tau))]
    seeds = [
        Row(f"{name}_reseeded", f"the {words} order and itself, with other seeds", _point(tau))
        for row, (name, words) in enumerate((("frozen", "frozen"), ("tuned", "fine-tuned")))
        if not math.isnan(tau := known.repeated_by_seed(row))
    ]
    frozen, tuned = known.repeated
    return [
        Row("measured", measured, Estimate(both.tau, *known.interval)),
        Row("true", "the true orders, without errors", known.true),
        Row("if_same", "to be expected here if the true orders were the same", _point(known.if_same)),
        Row("if_unrelated", "to be expected here if they were unrelated", _point(known.if_unrelated)),
        Row("frozen_again", "the frozen order and itself, on other patients", _point(frozen)),
        Row("tuned_again", "the fine-tuned order and itself, on other patients", _point(tuned)),
        *seeds,
    ]


def _point(tau: float) -> Estimate:
    return Estimate(tau, np.nan, np.nan)


def _notes(both: FrozenAndTuned) -> list[str]:
    if both.agreement is None:
        return ["errors by patient can't be computed from what was kept, so tau has no interval"]
    notes = [
        "errors pull a measured tau to 0, and shared patients push it up: compare it with the two taus to be expected "
        "here; its interval is by a bootstrap over patients, that of the true orders by a model of their scores",
    ]
    unknown = [
        name
        for name, variance in zip(("frozen", "fine-tuned"), both.by_seed, strict=True)
        if variance != variance
    ]
    if unknown:
        notes.append(
            f"the seed noise of {' and '.join(unknown)} scores isn't known on these folds (`ichtune rank --seeds` on a "
            "run with as many shows it), so the true orders are those of the models as trained"
        )
    return notes


def verdict(both: FrozenAndTuned) -> str:
    """How far the frozen ranking may be trusted here, in a sentence or two."""
    count = len(both.complete)
    if math.isnan(both.tau):
        if count >= FEWEST:
            return "All recipes have the same score in one of the orders, so they can't be compared."
        return (
            f"{plural(count, 'recipe has', 'recipes have')} both a frozen and a fine-tuned score; comparing two orders "
            f"takes at least {FEWEST}."
        )
    start = f"Kendall's tau between the frozen and the fine-tuned order is {both.tau:.{DECIMALS}f}"
    known = both.agreement
    if known is None:
        return f"{start}; how certain that is can't be computed from what was kept."
    true = known.true
    start += f" (bootstrap over patients: {interval(*known.interval, DECIMALS)})"
    share = f"{_share(true.low)} to {_share(true.high)} %"
    if true.low > 0:
        return (
            f"{start}. The frozen ranking predicts the fine-tuned one here: of two recipes, the one that is truly "
            f"better frozen is also truly better fine-tuned in about {_share(true.value)} % of pairs (95 %: {share})."
        )
    if true.high < 0:
        return (
            f"{start}. The frozen ranking misleads here: of two recipes, the one that is truly better frozen is better "
            f"fine-tuned, too, in only about {_share(true.value)} % of pairs (95 %: {share})."
        )
    return (
        f"{start}. Whether the frozen ranking predicts the fine-tuned one can't be said from these {count} recipes and "
        f"{both.truth.count} patients: of two recipes, the one that is truly better frozen may be the better one "
        f"fine-tuned in anything from {share} of pairs. Even if both true orders were the same, a tau of about "
        f"{known.if_same:.{DECIMALS}f} would be expected here, and if they were unrelated, "
        f"{known.if_unrelated:.{DECIMALS}f}."
    )


def _share(tau: float) -> int:
    """The percentage of pairs in the same order."""
    return round(50 * (1 + tau))
