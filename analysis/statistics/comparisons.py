"""Which recipes may be the best, and which ranks each may have: trials compared by their joint distribution.

All trials are scored on the same patients, so their errors are strongly correlated. Normal multipliers of the patients'
contributions (a wild bootstrap) draw the errors of all trials together, divided as in Student's t by a chi variable
(Hothorn, Bretz and Westfall, Biometrical Journal 2008, 50:346). Comparisons are corrected by the largest of the drawn
statistics (Romano and Wolf, Econometrica 2005, 73:1237) instead of by their number.

A difference is measured in units of its standard error plus the typical one (Tusher, Tibshirani and Chu, PNAS 2001,
98:5116): errors that rest on a few patients with a rare label are so imprecise that those that happen to be small would
dominate the maximum.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from analysis.statistics.significance import CONFIDENCE, Scores

DRAWS: Final = 1000
LEVEL: Final = 1 - CONFIDENCE
_TINY: Final = 1e-12


class Verdict(NamedTuple):
    """What a trial's comparisons with all others say."""

    p_best: float
    """The p-value of the hypothesis that it is the best."""
    reach: float
    """How far another trial's score must exceed its own to exclude it, in units of the difference."""
    ranks: tuple[int, int]
    largest: np.ndarray
    """The largest drawn statistic of its comparisons, of either sign, `[DRAWS]`."""


@dataclass(frozen=True)
class Comparisons:
    """All T trials of a ranking compared with one another, best score first."""

    scores: Scores
    seed: int = 0

    @property
    def possible(self) -> bool:
        """Whether there is a degree of freedom to compare by."""
        return self.scores.degrees_of_freedom >= 1

    @cached_property
    def p_best(self) -> np.ndarray:
        """The p-value of the hypothesis that a trial is truly the best, `[T]`.

        By multiple comparisons with the best (Hsu, Annals of Statistics 1981, 9:1026): a trial is compared with all
        others, whichever has the best score. Trials far below it don't count (Hansen, Journal of Business & Economic
        Statistics 2005, 23:365).
        """
        return np.array([verdict.p_best for verdict in self._verdicts])

    @cached_property
    def tied_with_best(self) -> np.ndarray:
        """Which trials may be the best, `[T]`: a set that holds the truly best one with 95 % confidence."""
        return self.p_best >= LEVEL

    @cached_property
    def rank_intervals(self) -> np.ndarray:
        """The best and worst rank that each trial may have, `[T, 2]`, counted from 1; 95 % each.

        From the trial's two-sided comparisons with all others (Mogstad, Romano, Shaikh and Wilhelm, Review of Economic
        Studies 2024, 91:476). A trial that may be the best may have rank 1.
        """
        ranks = np.array([verdict.ranks for verdict in self._verdicts])
        ranks[self.tied_with_best, 0] = 1
        return ranks

    @cached_property
    def p_values(self) -> np.ndarray:
        """The p-value of each trial's difference to the first, corrected for all pairs of trials, `[T]`."""
        if not self.possible:
            return np.ones(len(self.scores.values))
        observed = np.abs(self._better[0] - self._better) / self._units[0]
        return _shares(self._largest, observed)

    @cached_property
    def simultaneous(self) -> np.ndarray:
        """The ends of each trial's difference to the first, `[T, 2]`: 95 % confidence for all pairs at once."""
        difference = self.scores.values - self.scores.values[0]
        half = np.full(len(difference), np.nan)
        if self.possible:
            half = np.quantile(self._largest, CONFIDENCE) * self._units[0]
            half[0] = 0.0
        return np.stack([difference - half, difference + half], axis=1)

    def patients_for(self, difference: float) -> float:
        """How many patients would exclude a recipe worse than the best by `difference`, in four of five searches.

        The reach of the comparisons and the error of a difference shrink with the square root of the patients; 0.84 is
        the normal quantile of 4/5. NaN if nothing can be compared.
        """
        if not self.possible or len(self.scores.values) < 2:
            return float("nan")
        reach = float(np.median([verdict.reach for verdict in self._verdicts]))
        needed = (reach + 0.84 * self._typical) / difference
        return self.scores.influence.shape[1] * needed**2

    @cached_property
    def _better(self) -> np.ndarray:
        return self.scores.values if self.scores.maximised else -self.scores.values

    @cached_property
    def _typical(self) -> float:
        """The median standard error of a difference."""
        pairs = self.scores.pair_errors[np.triu_indices(len(self.scores.values), 1)]
        return float(np.median(pairs)) if len(pairs) else 0.0

    @cached_property
    def _units(self) -> np.ndarray:
        """What differences are measured in, `[T, T]`."""
        return np.maximum(self.scores.pair_errors + self._typical, _TINY)

    @cached_property
    def _errors(self) -> np.ndarray:
        """Errors of all trials drawn together, `[T, DRAWS]`."""
        rng = np.random.default_rng(self.seed)
        influence = self.scores.influence.astype(np.float32)
        multipliers = rng.standard_normal((influence.shape[1], DRAWS), np.float32)
        degrees = self.scores.pooled_degrees
        return influence @ multipliers / np.sqrt(rng.chisquare(degrees, DRAWS) / degrees).astype(np.float32)

    @cached_property
    def _largest(self) -> np.ndarray:
        """The largest drawn statistic of all pairs, `[DRAWS]`."""
        return np.max([verdict.largest for verdict in self._verdicts], axis=0)

    @cached_property
    def _verdicts(self) -> list[Verdict]:
        count = len(self.scores.values)
        if not self.possible or count < 2:
            return [Verdict(1.0, 0.0, (1, count), np.zeros(DRAWS))] * count
        return [self._verdict(trial) for trial in range(count)]

    def _verdict(self, trial: int) -> Verdict:
        others = np.arange(len(self._better)) != trial
        units = self._units[trial, others]
        ahead = (self._better - self._better[trial])[others]
        drawn = self._errors[others]
        drawn -= self._errors[trial]
        drawn /= units.astype(np.float32)[:, None]
        observed = ahead / units
        largest = (drawn + self._far_below(trial, ahead, others)[:, None]).max(axis=0)
        p_best = float(_shares(largest, np.array([observed.max()]))[0])
        reach = float(np.quantile(largest, CONFIDENCE) * np.median(units))
        sizes = np.abs(drawn, out=drawn)
        rejected = _step_down(np.abs(observed), sizes)
        above, below = (rejected & (observed > 0)).sum(), (rejected & (observed < 0)).sum()
        return Verdict(p_best, reach, (int(1 + above), int(len(others) - below)), sizes.max(axis=0))

    def _far_below(self, trial: int, ahead: np.ndarray, others: np.ndarray) -> np.ndarray:
        """How far below the trial the others are that don't count as its rivals, in units; 0 for its rivals."""
        patients = max(self.scores.influence.shape[1], 16)
        threshold = np.sqrt(2 * np.log(np.log(patients)))
        far = ahead < -threshold * np.maximum(self.scores.pair_errors[trial, others], _TINY)
        return np.where(far, ahead / self._units[trial, others], 0.0).astype(np.float32)


def _step_down(observed: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Which statistics `[n]` exceed the largest of those drawn `[n, DRAWS]` that are not exceeded yet, step by step."""
    rejected = np.zeros(len(observed), bool)
    while not rejected.all():
        limit = np.quantile(drawn[~rejected].max(axis=0), CONFIDENCE)
        more = ~rejected & (observed > limit)
        if not more.any():
            break
        rejected |= more
    return rejected


def _shares(drawn: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The share of drawn statistics that reach each observed one, counting the observed one itself, so never 0."""
    reached = len(drawn) - np.searchsorted(np.sort(drawn), observed)
    return (1 + reached) / (1 + len(drawn))
