"""A promoted run's recipes, frozen beside fine-tuned, as a table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.ranking.frozen_and_tuned import FrozenAndTuned, Pair
from analysis.ranking.order import Ranking
from analysis.ranking.recipes import settings_text
from analysis.ranking.trial import varying_parameters
from analysis.statistics.cohort import Cohort
from analysis.tables.agreement import agreement_table, verdict
from analysis.tables.rounding import all_shown, decimals_between, intervals
from analysis.tables.table import Table
from ichtune.errors import InputError
from ichtune.recipe.flat import flat
from ichtune.runs.ends import TrialEnd
from ichtune.wording import plural

NAME = "promoted"
_INTERVAL = ("low", "high")


@dataclass(frozen=True)
class PromotedTables:
    """What a promoted run shows beside its ranking; nothing for other runs, and for several."""

    tables: Sequence[Table] = ()
    """The recipes, frozen beside fine-tuned, and how far both orders agree."""
    verdict: str = ""
    """How far the frozen ranking may be trusted."""
    missing: Sequence[str] = ()
    """A note on why a promoted run has no such tables, if the run that its recipes come from left no records."""

    @classmethod
    def of(cls, ranking: Ranking, cohort: Cohort, decimals: int) -> "PromotedTables":
        """Make the tables of a ranking, with so many decimals of its scores."""
        try:
            both = FrozenAndTuned.of(ranking, cohort.store)
            if both is None:
                return cls()
            found = verdict(both)
            tables = (promoted_table(both, cohort, decimals, found), agreement_table(both, cohort))
        except InputError as error:
            return cls(missing=[f"no table of frozen beside fine-tuned recipes: {error}"])
        return cls([table for table in tables if table is not None], found)


def promoted_rows(both: FrozenAndTuned) -> pd.DataFrame:
    """One row per promoted recipe, best frozen score first, with the columns described in docs/tables.md."""
    settings = varying_parameters([flat(pair.frozen.record.recipe) for pair in both.pairs])
    places = {pair.recipe.name: place for place, pair in enumerate(both.tuned_order, 1)}
    rows = [
        {
            "recipe": pair.recipe.name,
            "frozen_rank": pair.recipe.rank,
            "frozen_trial": pair.recipe.trial,
            "frozen_place": place,
            "frozen_score": pair.frozen.score,
            "tuned_place": places.get(pair.recipe.name, np.nan),
            "tuned_trial": pair.tuned.best.name if pair.tuned else "",
            "tuned_trials": len(pair.tuned.trials) if pair.tuned else 0,
            "tuned_score": pair.tuned.score if pair.tuned else np.nan,
            "difference": pair.tuned.score - pair.frozen.score if pair.tuned else np.nan,
            "ended": _ended(pair),
            "settings": settings_text(flat(pair.frozen.record.recipe), settings),
        }
        for place, pair in enumerate(both.pairs, 1)
    ]
    return pd.concat([pd.DataFrame(rows), _certain(both)], axis=1)[list(_COLUMNS)]


_COLUMNS = (
    *("recipe", "frozen_rank", "frozen_trial", "frozen_place", "frozen_score", "frozen_low", "frozen_high"),
    *("tuned_place", "tuned_trial", "tuned_trials", "tuned_score", "tuned_low", "tuned_high"),
    *("difference", "difference_low", "difference_high", "simultaneous_low", "simultaneous_high"),
    *("ended", "settings"),
)


def _ended(pair: Pair) -> str:
    if pair.tuned:
        return str(pair.tuned.best.ended)
    return str(TrialEnd.DIVERGED) if pair.diverged else ""


def _certain(both: FrozenAndTuned) -> pd.DataFrame:
    """The 95 % intervals, one row per recipe; NaN where they can't be computed."""
    kinds = ("frozen", "tuned", "difference", "simultaneous")
    names = [f"{kind}_{end}" for kind in kinds for end in _INTERVAL]
    table = pd.DataFrame(np.nan, index=range(len(both.pairs)), columns=names)
    if both.scores is not None and both.gains is not None:
        frozen, tuned = np.split(both.scores.intervals(), 2)
        ends = np.hstack([frozen, tuned, both.gains.intervals, both.gains.simultaneous])
        table.loc[[both.pairs.index(pair) for pair in both.measured]] = ends
    return table


def promoted_table(both: FrozenAndTuned, cohort: Cohort, decimals: int, found: str) -> Table:
    """The promoted recipes, frozen beside fine-tuned; `found` is the verdict, its first note."""
    rows = promoted_rows(both)
    return Table(
        name=NAME,
        caption=(
            f"Search {both.ranking.names}: {plural(len(rows), 'recipe', 'recipes')} of "
            f"{both.name}, frozen beside fine-tuned, by {both.ranking.metric}"
        ),
        rows=rows,
        below=pd.DataFrame(columns=rows.columns),
        population=cohort.population,
        notes=[found, *_notes(both), *cohort.notes],
        texts=_texts(rows, decimals),
    )


def _notes(both: FrozenAndTuned) -> list[str]:
    notes = [
        *_about_folds(both),
        *_about_choice(both),
        "differences are fine-tuned minus frozen, paired by patient, with 95 % intervals: each by itself, and all of "
        "the table at once",
    ]
    if both.are_the_best:
        notes.append(
            "these recipes have the best frozen scores of their run, partly by luck on these patients, so differences "
            "are somewhat too small; and the best few agree less than a whole ranking would (--spread promotes "
            "recipes from all of it)"
        )
    return notes


def _about_folds(both: FrozenAndTuned) -> list[str]:
    frozen, tuned = both.earlier.request.validation, both.ranking.run.request.validation
    notes = []
    if both.validation != frozen:
        on = "the one fold" if both.validation.trainings == 1 else f"the {both.validation} folds"
        notes.append(
            f"frozen scores are on {on} that the fine-tuned recipes were scored on (the frozen run has {frozen}), so "
            "their order may differ from the frozen ranks, which are by all folds"
        )
    if both.ranking.metric != both.earlier.request.space.metric:
        notes.append(f"frozen ranks are by {both.earlier.request.space.metric}")
    if tuned.folds == 1 < frozen.folds:
        notes.append(
            "with one fold, fine-tuned epochs were chosen on the patients that the scores are about, frozen ones by "
            "the other folds: differences are somewhat too good"
        )
    return notes


def _about_choice(both: FrozenAndTuned) -> list[str]:
    notes = []
    chosen = [pair.tuned for pair in both.pairs if pair.tuned and len(pair.tuned.trials) > 1]
    if chosen:
        notes.append(
            "where a recipe has several fine-tuned trials, the best is named; "
            + (
                "its score is that of the best on these very patients, which is not corrected for and too good"
                if chosen[0].too_good
                else "each fold is scored by the trial that is best on the other folds, so the score is not that of "
                "a choice made on the patients that it is about"
            )
        )
    ends = Counter(pair.tuned.best.ended for pair in both.pairs if pair.tuned)
    early = [
        f"{count} {end}" for end, count in ends.items() if end not in (TrialEnd.LAST_EPOCH, TrialEnd.PATIENCE)
    ]
    if early:
        notes.append(f"fine-tuned for fewer epochs than planned, by how they ended: {', '.join(early)}")
    missing = [pair.recipe.name for pair in both.pairs if not pair.tuned]
    if missing:
        notes.append(
            f"without a fine-tuned score (not trained yet, or diverged), and so left out: {', '.join(missing)}"
        )
    return notes


def _texts(rows: pd.DataFrame, decimals: int) -> pd.DataFrame:
    finer = decimals_between(rows["difference_low"], rows["difference_high"])
    several = rows["tuned_trials"].max() > 1
    columns: dict[str, list[str]] = {
        "recipe": list(rows["recipe"]),
        "frozen rank": list(map(str, rows["frozen_rank"])),
        "frozen": _placed(rows, "frozen", decimals),
        "fine-tuned": _placed(rows, "tuned", decimals),
        "difference (95 %)": _differences(rows, finer),
        "all at once": intervals(rows["simultaneous_low"], rows["simultaneous_high"], finer),
        **({"of": list(map(str, rows["tuned_trials"]))} if several else {}),
        "ended": list(rows["ended"]),
        "settings": list(rows["settings"]),
    }
    texts = pd.DataFrame(columns)
    return texts.loc[:, (texts != "").any()]


def _placed(rows: pd.DataFrame, kind: str, decimals: int) -> list[str]:
    """`0.71 (2.)`: scores with their place among these recipes."""
    scores = all_shown(rows[f"{kind}_score"], decimals)
    places: list[Any] = rows[f"{kind}_place"].tolist()
    return [f"{score} ({place:.0f}.)" if score else "" for score, place in zip(scores, places, strict=True)]


def _differences(rows: pd.DataFrame, decimals: int) -> list[str]:
    ends = intervals(rows["difference_low"], rows["difference_high"], decimals)
    return [
        "" if np.isnan(value) else f"{value:+.{decimals}f}{f' ({between})' if between else ''}"
        for value, between in zip(rows["difference"].tolist(), ends, strict=True)
    ]
