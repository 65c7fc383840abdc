"""The recipes of a promoted run: on a frozen backbone beside fine-tuned, on the same patients and folds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.stats import kendalltau

from analysis.ranking.best_of import BestOf
from analysis.ranking.order import Ranking, trials_of
from analysis.ranking.seed_noise import SeedNoise
from analysis.ranking.trial import RankedTrial
from analysis.statistics.agreement import FEWEST, Agreement
from analysis.statistics.cohort import Cohort
from analysis.statistics.influence import Measure, Truth, is_measurable
from analysis.statistics.paired import Gains
from analysis.statistics.significance import Scores
from ichtune.cross_validation import CrossValidation
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.runs.folder import RunFolder
from ichtune.runs.promoted import Promoted, PromotedRecipe
from ichtune.runs.study import trial_ends
from ichtune.space.recipes import RECIPE


@dataclass(frozen=True)
class Pair:
    """A promoted recipe, frozen and fine-tuned."""

    recipe: PromotedRecipe
    frozen: RankedTrial
    tuned: BestOf | None
    """Its fine-tuned trials that have a score; None if there are none yet, or all of them diverged."""
    diverged: int
    """How many of its fine-tuned trials diverged."""

    @property
    def complete(self) -> bool:
        """Whether both have a score."""
        return bool(np.isfinite(self.frozen.score)) and self.tuned is not None


@dataclass(frozen=True)
class FrozenAndTuned:
    """The promoted recipes, best frozen score first, with the certainty of what fine-tuning changes."""

    ranking: Ranking
    """The promoted run's."""
    promoted: Promoted
    earlier: RunFolder
    """The run that its recipes come from, or the part of it that the promoted run kept."""
    store: SliceStore

    @classmethod
    def of(cls, ranking: Ranking, store: SliceStore) -> "FrozenAndTuned | None":
        """Pair the recipes of a promoted run's ranking; None for an ordinary run, and for several runs.

        Raises:
            InputError: the records of the earlier run are gone or damaged, or lack the metric.
        """
        promoted = Promoted.of(ranking.run) if len(ranking.runs) == 1 else None
        return cls(ranking, promoted, promoted.earlier(ranking.run), store) if promoted else None

    @property
    def name(self) -> str:
        """The earlier run's name."""
        return self.promoted.run.rstrip("/").rpartition("/")[2]

    @property
    def are_the_best(self) -> bool:
        """Whether the recipes were the best of more in the earlier run."""
        best = max(recipe.rank for recipe in self.promoted.recipes) == len(self.promoted.recipes)
        return best and len(trial_ends(self.earlier)) > len(self.promoted.recipes)

    @cached_property
    def validation(self) -> CrossValidation:
        """The folds that both scores are the mean over: those that both runs have."""
        return self.ranking.validation.common(self.earlier.request.validation)

    @cached_property
    def truth(self) -> Truth:
        return Cohort(self.store, self.validation).truth

    @cached_property
    def pairs(self) -> list[Pair]:
        """Every promoted recipe, best frozen score first.

        Raises:
            InputError: the earlier run has no record of one.
        """
        metric = self.ranking.metric
        frozen = {trial.name: trial for trial in trials_of(self.earlier, metric, self.validation)}
        tuned = list(trials_of(self.ranking.run, metric, self.validation))
        found = [self._pair(recipe, frozen.get(recipe.trial), tuned) for recipe in self.promoted.recipes]
        return sorted(found, key=lambda pair: pair.frozen.order)

    def _pair(self, recipe: PromotedRecipe, frozen: RankedTrial | None, tuned: list[RankedTrial]) -> Pair:
        if frozen is None or self.ranking.metric not in frozen.record.epochs[0].mean:
            what = "record" if frozen is None else self.ranking.metric
            raise InputError(f"{self.earlier}: has no {what} of trial {recipe.trial}, which was promoted")
        own = [trial for trial in tuned if trial.record.params.get(RECIPE) == recipe.name]
        sound = sorted(
            (trial for trial in own if not trial.diverged and np.isfinite(trial.score)),
            key=lambda trial: trial.order,
        )
        best = BestOf(sound, self.ranking.metric, self.validation) if sound else None
        return Pair(recipe, frozen, best, sum(trial.diverged for trial in own))

    @cached_property
    def complete(self) -> list[Pair]:
        """The recipes with both scores, best frozen score first: those whose orders can be compared."""
        return [pair for pair in self.pairs if pair.complete]

    @cached_property
    def tuned_order(self) -> list[Pair]:
        """The same recipes, best fine-tuned score first."""
        sign = -1 if self.ranking.maximised else 1
        return sorted(self.complete, key=lambda pair: sign * pair.tuned.score if pair.tuned else 0.0)

    @cached_property
    def measured(self) -> list[Pair]:
        """Those of them whose errors follow from their predictions."""
        if not is_measurable(self.ranking.metric):
            return []
        return [
            pair
            for pair in self.complete
            if pair.tuned and pair.frozen.logits is not None and pair.tuned.has_logits
        ]

    @cached_property
    def scores(self) -> Scores | None:
        """The `measured` recipes' frozen scores, then their fine-tuned ones; None if there are none."""
        if not self.measured:
            return None
        found = Scores.of(Measure(self.ranking.metric, self.truth), self._logits())
        return replace(found, values=_values(self.measured).ravel())

    def _logits(self) -> Iterator[np.ndarray]:
        for pair in self.measured:
            assert pair.frozen.logits is not None
            yield pair.frozen.logits
        for pair in self.measured:
            assert pair.tuned is not None
            yield pair.tuned.logits(self.truth)

    @cached_property
    def gains(self) -> Gains | None:
        """What fine-tuning changes, fine-tuned minus frozen; None if its error can't be computed."""
        return None if self.scores is None else Gains(self.scores)

    @cached_property
    def agreement(self) -> Agreement | None:
        """How far both orders agree; None for too few recipes, or if the errors of some can't be computed."""
        count, scores = len(self.complete), self.scores
        if count < FEWEST or scores is None or len(self.measured) < count or scores.degrees_of_freedom < 1:
            return None
        first, second = (0.0 if np.isnan(variance) else variance for variance in self.by_seed)
        return Agreement(_values(self.complete), scores.influence.reshape(2, count, -1), (first, second))

    @property
    def tau(self) -> float:
        """Kendall's tau-b between both orders as measured; NaN for too few recipes."""
        few = len(self.complete) < FEWEST
        return float("nan") if few else float(kendalltau(*_values(self.complete)).statistic)

    @cached_property
    def by_seed(self) -> tuple[float, float]:
        """The variance of a frozen and of a fine-tuned score by random seed; NaN where it isn't known."""
        return self._by_seed(self.earlier), self._by_seed(self.ranking.run)

    def _by_seed(self, run: RunFolder) -> float:
        """From the run's own repeats or reruns, which are about all of its folds."""
        own = run.request.validation
        if (own.folds, own.partitions) != (self.validation.folds, self.validation.partitions):
            return float("nan")
        metric = self.ranking.metric
        noise = SeedNoise.of(Ranking((run,), metric, list(trials_of(run, metric, own))))
        return noise.variance[0] * own.seeds / self.validation.seeds


def _values(pairs: list[Pair]) -> np.ndarray:
    """Their frozen and fine-tuned scores, `[2, K]`."""
    return np.array(
        [[pair.frozen.score for pair in pairs], [pair.tuned.score for pair in pairs if pair.tuned]]
    )
