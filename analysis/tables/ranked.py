"""A ranking as one table: rounded to its uncertainty for people, in full precision for programs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.ranking.certainty import DIFFERENCE, Certainty
from analysis.ranking.idle import idle_knobs
from analysis.ranking.metric_columns import column
from analysis.ranking.order import Ranking
from analysis.ranking.pooled import PooledScores
from analysis.ranking.recipes import recipe_texts
from analysis.ranking.seed_noise import SeedNoise
from analysis.ranking.trained_anew import TrainedAnew
from analysis.ranking.trial import RankedTrial
from analysis.statistics.cohort import Cohort
from analysis.tables.digits import Digits
from analysis.tables.meaning import anew_note, epoch_note, part_note, pooled_note
from analysis.tables.rounding import all_shown, interval, intervals, rough, shown
from analysis.tables.table import Table
from ichtune.metric_names import METRICS
from ichtune.runs.folder import RunFolder

SEEDS = "seeds ±"
"""Heading of the deviation over training seeds."""
FEW = 5
"""Labels with fewer positive patients than this get a warning note."""
MOST_RERUNS = 5
"""How many recipes' reruns with other seeds are spelled out in a note."""


def ranked_rows(ranking: Ranking, certainty: Certainty, seeds: SeedNoise) -> pd.DataFrame:
    """One row per trial, with the columns described in docs/tables.md and one for each varying parameter."""
    trials, several = ranking.trials, len(ranking.runs) > 1
    sure, remarks = certainty.table.to_dict("records"), idle_knobs(trials)
    rows = pd.DataFrame(
        [
            _front(rank, trial, ranking.metric, several=several) | certain | _back(trial, remark)
            for rank, (trial, certain, remark) in enumerate(zip(trials, sure, remarks, strict=True), 1)
        ]
    )
    again = seeds.table(trials)
    again["noise_floor"] = seeds.floor
    front = list(rows.columns).index("rank_high") + 1
    values = [{name: trial.record.params.get(name) for name in ranking.varying} for trial in trials]
    params = pd.DataFrame(values, dtype=object)
    anew, pooled = TrainedAnew(certainty, seeds).table, PooledScores(certainty).table
    parts = [rows.iloc[:, :front], anew, again, *_with_pooled(rows.iloc[:, front:], pooled), params]
    return pd.concat(parts, axis=1)


def _with_pooled(metrics: pd.DataFrame, pooled: pd.DataFrame) -> list[pd.DataFrame]:
    """The columns of metrics, with those of the pooled average precision beside that of the mean over folds."""
    beside = list(metrics.columns).index("average_precision") + 1
    return [metrics.iloc[:, :beside], pooled, metrics.iloc[:, beside:]]


def _front(rank: int, trial: RankedTrial, metric: str, *, several: bool) -> dict[str, object]:
    return {
        "rank": rank,
        **({"run": trial.run.name} if several else {}),
        "trial": trial.name,
        "point": trial.record.point or "",
        "score": trial.score,
        "score_std": trial.scores.std[metric],
        "searched_score": trial.searched_score,
    }


def _back(trial: RankedTrial, note: str) -> dict[str, object]:
    mean = trial.scores.mean
    return {
        **{_COLUMNS[name]: mean.get(name, np.nan) for name in (*METRICS, "defined_labels")},
        "best_epoch": trial.best_epoch.epoch,
        "last_epoch": trial.record.epochs[-1].epoch,
        "ended": trial.ended,
        "note": note,
    }


_COLUMNS = {name: column(name) for name in (*METRICS, "defined_labels")}


def no_skill_rows(metric: str, ways: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """What no-skill predictors score on the same folds: one row each, with the metrics' means over folds."""
    return pd.DataFrame(
        [
            {"trial": way, "score": values.get(metric, np.nan)}
            | {_COLUMNS[name]: values[name] for name in METRICS if name in values}
            | {"defined_labels": values["defined_labels"]}
            for way, values in ways.items()
        ]
    )


def ranked_table(
    ranking: Ranking,
    certainty: Certainty,
    cohort: Cohort,
    digits: Digits,
    seeds: SeedNoise,
    rows: pd.DataFrame,
    below: pd.DataFrame,
) -> Table:
    """The ranking (`ranked_rows`) and its no-skill rows, with the population and the notes."""
    return Table(
        name="compared" if len(ranking.runs) > 1 else "ranked",
        caption=(
            f"Search {ranking.names}: {len(ranking.trials)} trials by {ranking.metric}, mean over {ranking.validation} "
            "patient-grouped folds"
        ),
        rows=rows,
        below=below,
        population=cohort.population,
        notes=[
            *part_note(ranking),
            *_notes(ranking, certainty, digits.score),
            *epoch_note(ranking, digits.score),
            *anew_note(ranking, rows, digits.score),
            *pooled_note(ranking, rows),
            *_seed_notes(ranking, seeds, rows, digits.score),
            *_loss_note(ranking),
            *cohort.notes,
            *map(provenance, ranking.runs),
        ],
        texts=_texts(ranking, digits, rows, below),
    )


def _notes(ranking: Ranking, certainty: Certainty, decimals: int) -> list[str]:
    """Notes on ties, and on how much of the best score is luck."""
    notes = []
    if certainty.others:
        notes.append(
            f"{certainty.tied} of the other {certainty.others} trials {'is' if certainty.tied == 1 else 'are'} "
            "indistinguishable from the best: with it, "
            "they are the set that holds the truly best recipe with 95 % confidence (paired by patient; multiple "
            "comparisons with the best)"
        )
        notes += _further(certainty)
        notes.append(
            f"best score {shown(ranking.best.score, decimals)}; corrected for selecting the best of "
            f"{len(certainty.measured)}: {_corrected(certainty, decimals)}"
        )
    few = ", ".join(f"{label} ({count})" for label, count in certainty.carriers.items() if count < FEW)
    if few:
        notes.append(
            f"these labels have few positive patients, so their part of the score is largely luck: {few}"
        )
    return notes


def _further(certainty: Certainty) -> list[str]:
    """The simplest recipe that may be the best, and how many patients would tell more."""
    notes = [f"the simplest recipe in that set: {certainty.simplest}"] if certainty.simplest else []
    if np.isfinite(certainty.patients_needed):
        notes.append(
            f"to exclude a recipe that is truly worse than the best by {DIFFERENCE} in four of five searches, about "
            f"{rough(certainty.patients_needed)} patients are needed"
        )
    return notes


def _corrected(certainty: Certainty, decimals: int) -> str:
    """`0.71 (95 % interval 0.65 to 0.76)`, without an interval if there is none."""
    if certainty.winner is None:
        return ""
    value, ends = shown(certainty.corrected_best, decimals), interval(*certainty.winner.interval, decimals)
    return f"{value} (95 % interval {ends})" if ends else value


def _seed_notes(ranking: Ranking, seeds: SeedNoise, rows: pd.DataFrame, decimals: int) -> list[str]:
    """Notes on trainings with several seeds; empty without them."""
    if np.isnan(seeds.floor):
        return []
    noise = f"{seeds.two} differ by up to {shown(seeds.floor, decimals)} by random seed alone (95 %)"
    if seeds.averaged > 1:
        return [noise]
    again = rows.dropna(subset="seeds").head(MOST_RERUNS)
    means = [
        f"{ranking.trials[row['rank'] - 1].short_name} {row['seed_mean']:.{decimals}f} (in the search "
        f"{shown(row['score'], decimals)})"
        for row in again.to_dict("records")
    ]
    return [
        f"mean over {again['seeds'].max():.0f} other seeds: {', '.join(means)}",
        noise,
    ]


def _loss_note(ranking: Ranking) -> list[str]:
    if ranking.metric != "loss":
        return []
    return [
        "each loss function has its own scale, so this order means little between recipes with different losses"
    ]


def provenance(run: RunFolder) -> str:
    """What is needed to reproduce the numbers."""
    request = run.request
    return f"run {run.name}: seed {request.settings.seed}, store {request.fingerprint}"


def _texts(ranking: Ranking, digits: Digits, rows: pd.DataFrame, below: pd.DataFrame) -> pd.DataFrame:
    """The columns for people, as texts, with the no-skill rows at the end."""
    texts = {
        "rank": list(map(str, rows["rank"])),
        **({"run": rows["run"]} if "run" in rows else {}),
        "trial": [trial.short_name for trial in ranking.trials],
        **_scores(ranking.metric, digits, rows),
        "95 %": intervals(rows["score_low"], rows["score_high"], digits.score),
        "folds ±": all_shown(rows["score_std"], digits.score),
        "to the best (95 %)": _differences(rows, digits.difference),
        "tied": ["yes" if tied == 1 else "" for tied in rows["tied_with_best"]],
        "ranks": intervals(rows["rank_low"], rows["rank_high"], 0),
        **_seed_texts(ranking, rows, digits.score),
        **_beside(digits, rows),
        "epoch": [
            f"{best}/{last}" for best, last in zip(rows["best_epoch"], rows["last_epoch"], strict=True)
        ],
        "ended": rows["ended"],
        "recipe": recipe_texts(ranking),
        "note": rows["note"],
    }
    ways = {
        "trial": [f"no skill: {way}" for way in below["trial"]],
        **_scores(ranking.metric, digits, below),
        **_beside(digits, below),
    }
    both = pd.concat([pd.DataFrame(texts), pd.DataFrame(ways)], ignore_index=True).fillna("")
    return both.loc[:, (both != "").any()]  # without empty columns


def _scores(metric: str, digits: Digits, rows: pd.DataFrame) -> dict[str, list[str]]:
    return {metric.replace("_", " "): all_shown(rows["score"], digits.score)}


def _beside(digits: Digits, rows: pd.DataFrame) -> dict[str, list[str]]:
    """The other metrics shown, and how many labels are defined."""
    metrics = {name.replace("_", " "): all_shown(rows[name], many) for name, many in digits.beside.items()}
    labels = [text.removesuffix(".0") for text in all_shown(rows["defined_labels"], 1)]
    return metrics | {"labels": labels}


def _differences(rows: pd.DataFrame, decimals: int) -> list[str]:
    """`-0.0213 (-0.0412 to -0.0014)`; empty for the first trial and for those not comparable with it."""
    ends = intervals(rows["difference_low"], rows["difference_high"], decimals)
    return [
        "" if rank == 1 or pd.isna(measured) else f"{difference:+.{decimals}f} ({between})"
        for rank, measured, difference, between in zip(
            rows["rank"], rows["rank_low"], rows["difference"], ends, strict=True
        )
    ]


def _seed_texts(ranking: Ranking, rows: pd.DataFrame, decimals: int) -> dict[str, list[str]]:
    """The deviation over the search's own seeds, or the mean over others, and the noise floor; empty without both."""
    floor: Any = rows["noise_floor"].iloc[0]
    if np.isnan(floor):
        return {}
    noise = {"seed noise": [f"{floor:.{decimals}f}"] * len(rows)}
    if ranking.validation.seeds > 1:
        return {SEEDS: all_shown(rows["seed_std"], decimals), **noise}
    again = [
        "" if np.isnan(count) else f"{mean:.{decimals}f} ({count:.0f})"
        for count, mean in zip(rows["seeds"], rows["seed_mean"], strict=True)
    ]
    return {"other seeds": again, **noise}
