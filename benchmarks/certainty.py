"""How far a ranking's statistics can be trusted: their errors and power on made-up searches with known truths.

    python benchmarks/certainty.py [--searches 200] [--quick] [--only estimands] [--seed 0]

Each cell is a data set's prevalences, a number of patients and a number of trials; in `equal` searches all recipes are
equally good, in `one better` one is better by the gap, in `spread` their truths scatter by half the gap, and in
`plateau` half are equally good and the others worse by up to three gaps. Prints JSON, one record per cell:

- `coverage`: how often a score's 95 % interval has its truth
- `excluded`: how often a recipe that truly is the best is not tied with the best (each of the equal ones counts)
- `family-wise`: in how many searches a p-value under 0.05 is given to a recipe as good as the one ranked first
- `power`: in how many searches the truly better recipe is alone in the set of the best; `cut`: the share of truly worse
  recipes that are left out of it
- `raw`, `corrected`: bias of the best score and of its corrected value, with root mean squared errors; `winner`: how
  often the winner's interval has its truth
- `rank coverage`, `rank width`: how often a rank interval has a rank that the truths allow, and its width as a share of
  the widest

`--only` computes one part: `searches` has these figures, `labels` the intervals of a single label's high AUCs, and
`estimands` (`benchmarks/estimands.py`) both kinds of average precision and the intervals of recipes trained anew.

It isn't named after the statistics it checks because a script's folder comes first on Python's path, where a module
`statistics` would hide the standard library's from all other benchmarks.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from analysis.statistics.comparisons import LEVEL, Comparisons
from analysis.statistics.influence import Measure
from analysis.statistics.selection import Winner
from analysis.statistics.significance import Scores
from benchmarks.estimands import average_precisions, trained_anew, truth_of
from benchmarks.simulated_searches import AUC, CT_ICH, RSNA, Population, Search, search


class Cell(NamedTuple):
    """One kind of search, and the share of all searches that it gets (large ones are slow)."""

    population: Population
    patients: int
    trials: int
    gap: float
    share: float = 1.0


CELLS = (
    Cell(CT_ICH, 50, 30, 0.10),
    Cell(CT_ICH, 50, 200, 0.10, 0.5),
    Cell(RSNA, 200, 20, 0.05),
    Cell(RSNA, 200, 200, 0.05, 0.25),
    Cell(RSNA, 1000, 30, 0.02, 0.5),
)
PARTS = ("searches", "labels", "estimands")
QUICK = (Cell(CT_ICH, 50, 20, 0.10), Cell(RSNA, 200, 20, 0.05, 0.5))


def figures(cell: Cell, searches: int, seed: int) -> list[dict[str, Any]]:
    """The mean figures of each kind of search in a cell."""
    rows: dict[str, list[dict[str, float]]] = {}
    for number in range(max(round(searches * cell.share), 1)):
        rng = np.random.default_rng([seed, cell.patients, cell.trials, number])
        for kind, scores, truths in _searched(cell, rng):
            rows.setdefault(kind, []).append(judged(scores, truths))
    about = {"data": cell.population.name, "patients": cell.patients, "trials": cell.trials, "gap": cell.gap}
    return [about | {"kind": kind, "searches": len(found)} | _summary(found) for kind, found in rows.items()]


def _searched(cell: Cell, rng: np.random.Generator) -> Iterator[tuple[str, Scores, np.ndarray]]:
    # One search has a better recipe too many, to serve as an equal one without it.
    one_more = np.full(cell.trials + 1, AUC)
    one_more[-1] += cell.gap
    both = scored(search(rng, cell.population, cell.patients, one_more))
    yield "equal", *_ranked(both, one_more, slice(0, -1))
    yield "one better", *_ranked(both, one_more, slice(1, None))
    bend = cell.gap / 2 / norm.pdf(norm.ppf(AUC))
    truths = norm.cdf(norm.ppf(AUC) + bend * rng.standard_normal(cell.trials))
    yield "spread", *_ranked(scored(search(rng, cell.population, cell.patients, truths)), truths, slice(None))
    below = np.where(np.arange(cell.trials) % 2, 3 * cell.gap * rng.random(cell.trials), 0)
    truths = AUC - np.minimum(below, AUC - 0.5)
    yield (
        "plateau",
        *_ranked(scored(search(rng, cell.population, cell.patients, truths)), truths, slice(None)),
    )


def high_scores(population: Population, patients: int, searches: int, seed: int) -> list[dict[str, Any]]:
    """How often intervals of one label's high AUCs have their truth, and on which side they miss it."""
    truths = np.array([0.90, 0.97])
    ends = []
    for number in range(searches):
        made = search(np.random.default_rng([seed, patients, number]), population, patients, truths)
        ends.append(scored(made, "auc_any").intervals())
    low, high = np.moveaxis(np.array(ends), 2, 0)
    about = {"data": population.name, "patients": patients, "kind": "one label", "searches": searches}
    sides = zip(truths, (low > truths).mean(axis=0), (high < truths).mean(axis=0), strict=True)
    return [
        about
        | {
            "auc": float(truth),
            "coverage": round(1 - float(above) - float(below), 4),
            "interval too high": round(float(above), 4),
            "interval too low": round(float(below), 4),
        }
        for truth, above, below in sides
    ]


def scored(made: Search, metric: str = "auc") -> Scores:
    """The trials' scores with patients' contributions, as a ranking computes them."""
    return Scores.of(Measure(metric, truth_of(made.labels, made.patients, made.folds)), made.logits)


def _ranked(scores: Scores, truths: np.ndarray, kept: slice) -> tuple[Scores, np.ndarray]:
    """Some of the trials, best score first as in a ranking."""
    order = np.arange(len(truths))[kept]
    order = order[np.argsort(-scores.values[order])]
    return replace(scores, values=scores.values[order], influence=scores.influence[order]), truths[order]


def judged(scores: Scores, truths: np.ndarray) -> dict[str, float]:
    """What the statistics of one ranking got right; NaN where a question doesn't arise."""
    best, worse = truths == truths.max(), truths < truths.max()
    compared, winner, ends = Comparisons(scores), Winner(scores), scores.intervals()
    tied = compared.tied_with_best
    same = np.flatnonzero(truths == truths[0])[1:]
    low, high = winner.interval
    return {
        "coverage": float(np.mean((ends[:, 0] <= truths) & (truths <= ends[:, 1]))),
        "excluded": float(np.mean(~tied[best])),
        "family-wise": float((compared.p_values[same] < LEVEL).any()) if len(same) else np.nan,
        "power": float(not tied[worse].any() and tied[best].all()) if best.sum() == 1 else np.nan,
        "cut": float(np.mean(~tied[worse])) if worse.any() else np.nan,
        "raw": scores.values[0] - truths[0],
        "corrected": winner.corrected - truths[0],
        "winner": float(low <= truths[0] <= high),
        **_rank_figures(compared.rank_intervals, truths),
    }


def _rank_figures(ranks: np.ndarray, truths: np.ndarray) -> dict[str, float]:
    """Coverage and relative width of rank intervals; equal truths share all their ranks."""
    first = 1 + (truths[None, :] > truths[:, None]).sum(axis=1)
    last = (truths[None, :] >= truths[:, None]).sum(axis=1)
    covered = (ranks[:, 0] <= last) & (first <= ranks[:, 1])
    width = (ranks[:, 1] - ranks[:, 0]).mean() / (len(truths) - 1)
    return {"rank coverage": float(covered.mean()), "rank width": float(width)}


def _summary(found: list[dict[str, float]]) -> dict[str, float | None]:
    summary: dict[str, float | None] = {}
    for name in found[0]:
        values = np.array([row[name] for row in found])
        asked = not np.isnan(values).all()
        summary[name] = round(float(np.nanmean(values)), 4) if asked else None
        if name in ("raw", "corrected"):
            summary[f"{name} rmse"] = round(float(np.sqrt(np.mean(values**2))), 4)
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--searches", type=int, default=200, help="made-up searches per cell")
    parser.add_argument("--quick", action="store_true", help="two small cells, a tenth of the searches")
    parser.add_argument("--only", choices=PARTS, help="one part of the figures")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cells, searches = (QUICK, arguments.searches // 10) if arguments.quick else (CELLS, arguments.searches)
    parts = [arguments.only] if arguments.only else PARTS
    for record in _records(parts, cells, searches, arguments.seed):
        print(json.dumps(record), flush=True)


def _records(
    parts: Sequence[str], cells: Sequence[Cell], searches: int, seed: int
) -> Iterator[dict[str, Any]]:
    if "searches" in parts:
        for cell in cells:
            begun = time.perf_counter()
            found = figures(cell, searches, seed)
            seconds = round(time.perf_counter() - begun)
            yield from (record | {"seconds": seconds} for record in found)
    if "labels" in parts:
        for population, patients in ((CT_ICH, 50), (RSNA, 200)):
            yield from high_scores(population, patients, 5 * searches, seed)
    if "estimands" in parts:
        yield from average_precisions(2 * searches, seed)
        yield from trained_anew(2 * searches, seed)


if __name__ == "__main__":
    main()
