"""What a search found, in plain sentences derived from its numbers."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import pandas as pd

from analysis.ranking.recipes import recipe_texts
from analysis.report.limits import limits
from analysis.report.retrained import RetrainedModel
from analysis.results import RankedResults
from analysis.statistics.population import POSITION
from analysis.tables.rounding import interval, shown
from ichtune.metric_names import in_words, meaning
from ichtune.runs.ends import TrialEnd
from ichtune.space.points import BASELINE
from ichtune.wording import plural

SAMPLERS: Final = {
    "tpe": "Optuna's TPE sampler, which learns from earlier trials",
    "random": "random sampling",
    "grid": "going through a grid",
    "gp": "Optuna's Gaussian process, which learns from earlier trials",
    "cmaes": "CMA-ES, which learns from earlier trials",
}


class KeyFigure(NamedTuple):
    """A headline number, with what it is and what belongs next to it."""

    name: str
    value: str
    beside: str


@dataclass(frozen=True)
class Summary:
    """The ranking in words."""

    results: RankedResults
    models: list[RetrainedModel]

    @property
    def settled(self) -> bool:
        """Whether there is a best trial."""
        return math.isfinite(self.results.best.score) and not self.results.best.diverged

    @property
    def key_figures(self) -> list[KeyFigure]:
        """The numbers for a reader in a hurry."""
        results, best = self.results, self._rows[0]
        ends = self._interval(best)
        figures = [
            KeyFigure(
                f"best {in_words(results.metric)}",
                self._score(best["score"]) if self.settled else "none",
                f"95 % interval {ends}" if ends else "no interval",
            )
        ]
        if self._compared:
            figures.append(
                KeyFigure(
                    "corrected for selection", self._score(results.corrected_best), f"best of {self._count}"
                )
            )
            figures.append(
                KeyFigure(
                    "indistinguishable from it",
                    f"{self._tied} of {len(results.measured) - 1}",
                    "other recipes",
                )
            )
        way, chance = self._chance
        figures.append(KeyFigure("no skill", self._score(chance) or "undefined", way))
        patients = results.truth.count
        figures.append(KeyFigure("scored on", f"{patients:,} patients", f"{self._slices:,} slices"))
        return figures

    @property
    def found(self) -> list[str]:
        """What was searched and found, one paragraph each."""
        paragraphs = [self._searched(), self._scored()]
        if not self.settled:
            return [*paragraphs, "No trial has a defined score, so there is no best recipe."]
        paragraphs += [
            self._best(),
            self._others(),
            self._luck(),
            self._baseline(),
            self._no_skill(),
            self._seeds(),
            self.results.promoted.verdict,
        ]
        return [paragraph for paragraph in [*paragraphs, self._retrained()] if paragraph]

    @property
    def not_shown(self) -> list[str]:
        """What must not be read into the numbers."""
        return limits(self.results, self.models, compared=self._compared)

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return self.results.table.to_dict("records")

    @property
    def _count(self) -> int:
        return len(self.results.measured)

    @property
    def _compared(self) -> bool:
        """Whether trials could be compared by their predictions."""
        return self.settled and self._count > 1

    @property
    def _tied(self) -> int:
        return self.results.certainty.tied

    @property
    def _slices(self) -> int:
        return int((self.results.truth.codes >= 0).sum())

    def _score(self, value: float | None) -> str:
        return shown(value, self.results.digits.score)

    def _interval(self, row: dict[str, Any]) -> str:
        return interval(row["score_low"], row["score_high"], self.results.digits.score)

    def _searched(self) -> str:
        run = self.results.run
        space, count = run.request.space, len(self.results.trials)
        open_settings = len(space.dimensions)
        about = f" ({space.description[0].lower()}{space.description[1:]})" if space.description else ""
        settings = run.request.settings
        sampler = SAMPLERS.get(settings.sampler, settings.sampler)
        early = sum(trial.ended == TrialEnd.ASHA for trial in self.results.trials)
        stopped = f" {early} of them were stopped early because they lagged behind." if early else ""
        compared = "".join(
            f" They are ranked together with those of the run {other.name}."
            for other in self.results.runs[1:]
        )
        how_open = (
            f"which leaves {plural(open_settings, 'setting', 'settings')} open; the recipes were proposed by {sampler}"
            if open_settings
            else "which leaves nothing open"
        )
        tried = plural(count, "training recipe was", "training recipes were")
        return f"{tried} tried from the space {space.name}{about}, {how_open}.{stopped}{compared}"

    def _scored(self) -> str:
        ranking, metric = self.results.ranking, self.results.metric
        better = "higher" if self.results.maximised else "lower"
        validation = ranking.validation
        parts = {"training seeds": validation.seeds, "partitions of the patients": validation.partitions}
        several = " and ".join(f"{count} {what}" for what, count in parts.items() if count > 1)
        parted = f" ({several})" if several else ""
        how = (
            f"as the mean over {validation} folds{parted}, each on patients that the model had not seen"
            if validation.trainings > 1
            else "on one fold, on patients that the model had not seen"
        )
        return (
            f"Each was scored by {in_words(metric)} ({better} is better) {how}: {self._slices:,} slices of "
            f"{self.results.truth.count:,} patients, all slices of a patient in the same fold. {meaning(metric)}"
        )

    def _best(self) -> str:
        trial, row = self.results.best, self._rows[0]
        named = trial.short_name == trial.record.point
        name = f"the point “{trial.record.point}”" if named else f"trial {trial.short_name}"
        recipe = recipe_texts(self.results.ranking)[0]
        ends = self._interval(row)
        sure = (
            f"(95 % interval by patient {ends})"
            if ends
            else "(without an interval, as this metric can't be computed from the kept predictions)"
        )
        details = f" Its recipe: {recipe}." if recipe else ""
        return f"The best is {name} with {in_words(self.results.metric)} {self._score(row['score'])} {sure}.{details}"

    def _others(self) -> str:
        if len(self.results.trials) == 1:
            return "It is the only trial, so there is nothing to compare it with."
        if not self._compared:
            return "Whether the others are really worse is unknown, as their predictions can't be compared."
        others, tied = self._count - 1, self._tied
        how = "paired by patient; multiple comparisons with the best"
        if tied == 0:
            return (
                f"With 95 % confidence, it is truly the best of these recipes: {_all(others)} "
                f"{'is' if others == 1 else 'are'} worse ({how})."
            )
        verb = "is" if tied == 1 else "are"
        simplest = self.results.certainty.simplest
        order = f" The simplest of them is {simplest}." if simplest else ""
        return (
            f"{_of(tied, others)} {verb} indistinguishable from it on these patients: together they are the set that "
            f"holds the truly best recipe with 95 % confidence ({how}).{order}"
        )

    def _luck(self) -> str:
        if not self._compared:
            return ""
        return (
            f"The best of {self._count} scores is partly a lucky one. Corrected for this selection, it is "
            f"{self._score(self.results.corrected_best)}{self._corrected_ends()}."
        )

    def _corrected_ends(self) -> str:
        winner = self.results.certainty.winner
        ends = interval(*winner.interval, self.results.digits.score) if winner else ""
        return f" (95 % interval {ends})" if ends else ""

    def _baseline(self) -> str:
        row = next((row for row in self._rows if row["point"] == BASELINE), None)
        if row is None:
            return f"The search has no point named “{BASELINE}” to compare the best with."
        if row["rank"] == 1:
            return "The best is the baseline itself: the search found nothing better."
        score = f"The baseline (rank {row['rank']} of {len(self._rows)}) scores {self._score(row['score'])}"
        if pd.isna(row["difference"]):
            return f"{score}."
        digits = self.results.digits.difference
        ends = interval(*sorted((-row["difference_low"], -row["difference_high"])), digits)
        verdict = "may be the best, too" if row["tied_with_best"] else "is not the best"
        return (
            f"{score}; the best differs from it by {-row['difference']:+.{digits}f} (95 % {ends}). Corrected for all "
            f"comparisons, the baseline {verdict}."
        )

    @property
    def _chance(self) -> tuple[str, float]:
        """The best no-skill predictor and its score."""
        rows = self.results.no_skill.dropna(subset="score")
        if rows.empty:
            return "undefined", math.nan
        row = rows.loc[rows["score"].idxmax() if self.results.maximised else rows["score"].idxmin()]
        return str(row["trial"]), float(row["score"])

    def _no_skill(self) -> str:
        way, chance = self._chance
        row = self._rows[0]
        if math.isnan(chance):
            return ""
        names = {
            "always negative": "calling every slice negative",
            "prevalence": "predicting the prevalence for every slice",
            POSITION: "knowing a slice's place in its scan and nothing else",
        }
        chance_text = f"Without any skill, by {names.get(way, way)}, the score is {self._score(chance)}"
        worse_end = row["score_low"] if self.results.maximised else row["score_high"]
        gain = row["score"] - chance if self.results.maximised else chance - row["score"]
        margin = worse_end - chance if self.results.maximised else chance - worse_end
        if gain <= 0:
            return f"{chance_text}: the best recipe is no better than that."
        if pd.isna(worse_end):
            return f"{chance_text}."
        if margin <= 0:
            return f"{chance_text}, which is within the interval of the best."
        return f"{chance_text}, outside the interval of the best."

    def _seeds(self) -> str:
        noise, two = self.results.noise_floor, self.results.seeds.two
        if math.isnan(noise):
            return ""
        return f"{two[0].upper()}{two[1:]} differ by up to {self._score(noise)} by random seed alone (95 %)."

    def _retrained(self) -> str:
        if not self.models:
            return ""
        names = ", ".join(model.label for model in self.models)
        return f"{plural(len(self.models), 'model was', 'models were')} retrained from the ranking: {names}."


def _all(others: int) -> str:
    return "the other one" if others == 1 else f"all {others:,} others"


def _of(tied: int, others: int) -> str:
    return (
        "The other one"
        if others == 1
        else f"{tied:,} of the {others:,} others"
        if tied < others
        else f"All {others:,} others"
    )
