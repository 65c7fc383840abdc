"""What calibration and thresholds are worth: figures before and after, on slices they were not chosen on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import expit

from analysis.calibration.tune import Decided, Tuned
from analysis.statistics.bootstrap import Drawn, PatientBootstrap, mean_of, ratio
from analysis.statistics.reliability import BINS, quantile_bins
from ichtune.labels import LABELS
from ichtune.metrics import evaluate, log_losses

MEAN: Final = "mean"
ERRORS: Final = ("log loss", "Brier score", "calibration error")
_OF_THE_ORDER: Final = ("auc", "average_precision")
BEFORE, AFTER = "as trained", "tuned"


@dataclass(frozen=True)
class Judged:
    """The predictions of a part's n slices, as trained and tuned, and the truth about them."""

    part: str
    labels: np.ndarray
    """`[n, 6]`, NaN unknown."""
    patients: np.ndarray
    before: Decided
    after: Decided
    thresholds: dict[str, float]
    """The model's thresholds; cross-fitted slices have others, in `after`."""

    @classmethod
    def cross_fitted(cls, part: str, tuned: Tuned) -> "Judged":
        """The slices that a model was tuned on, each judged by what was fitted on the other parts."""
        given = tuned.out_of_fold
        before = Decided.as_trained(given.logits)
        return cls(part, given.labels, given.patients, before, tuned.cross_fitted, tuned.thresholds)

    @classmethod
    def of(
        cls, part: str, tuned: Tuned, logits: np.ndarray, labels: np.ndarray, patients: np.ndarray
    ) -> "Judged":
        """Slices that nothing was chosen on."""
        before = Decided.as_trained(logits)
        return cls(part, labels, patients, before, tuned.decide(logits), tuned.thresholds)

    def take(self, chosen: np.ndarray) -> "Judged":
        """Those of some slices, by a mask."""
        before, after = (
            Decided(of.logits[chosen], of.thresholds[chosen]) for of in (self.before, self.after)
        )
        return replace(
            self,
            labels=self.labels[chosen],
            patients=self.patients[chosen],
            before=before,
            after=after,
        )

    @property
    def scores(self) -> dict[str, float]:
        """All metrics of the tuned predictions, at the tuned thresholds; see `evaluate`.

        A model's calibration keeps the order of slices. Cross-fitted slices are calibrated part by part, so metrics of
        the order are those of the predictions as trained.
        """
        trained, tuned = (
            evaluate(expit(of.logits.astype(np.float64)), self.labels, of.thresholds)
            for of in (self.before, self.after)
        )
        return tuned | {name: trained[name] for name in tuned if name.startswith(_OF_THE_ORDER)}

    @cached_property
    def bootstrap(self) -> PatientBootstrap:
        """Resamples of the part's patients, the same for all labels."""
        return PatientBootstrap(self.patients)

    def columns(self) -> Iterable[tuple[str, int, np.ndarray]]:
        """Each label with its column and the mask of the slices where it is known."""
        for column, label in enumerate(LABELS):
            yield label, column, ~np.isnan(self.labels[:, column])


def calibration_errors(parts: Sequence[Judged]) -> pd.DataFrame:
    """One row per part, label (and their mean) and error: `before`, `after`, `change`, each with `_low` and `_high`.

    The errors are the log loss, the Brier score and the expected calibration error in bins of equally many slices.
    Intervals are 95 % ones by resampling patients.
    """
    return pd.DataFrame([row for judged in parts for row in _errors_of(judged)])


def _errors_of(judged: Judged) -> Iterable[dict[str, object]]:
    pairs: dict[str, list[tuple[Drawn, Drawn]]] = {name: [] for name in ERRORS}
    for label, column, known in judged.columns():
        if not known.any():
            continue
        truth = judged.labels[known, column]
        both = [
            _errors(of.probabilities(known, column), truth, judged.bootstrap, known)
            for of in (judged.before, judged.after)
        ]
        for name in ERRORS:
            pair = both[0][name], both[1][name]
            pairs[name].append(pair)
            yield {"part": judged.part, "label": label, "error": name} | _before_and_after(*pair)
    for name, found in pairs.items():
        before, after = zip(*found, strict=True) if found else ((), ())
        row = _before_and_after(mean_of(before), mean_of(after))
        yield {"part": judged.part, "label": MEAN, "error": name} | row


def _errors(
    probs: np.ndarray, truth: np.ndarray, bootstrap: PatientBootstrap, known: np.ndarray
) -> dict[str, Drawn]:
    ones = np.ones_like(probs)
    losses, squares = log_losses(probs, truth > 0.5), (probs - truth) ** 2
    bins = np.eye(BINS)[quantile_bins(probs)]
    gaps = np.concatenate([bins * (truth - probs)[:, None], ones[:, None]], axis=1)
    figures = (
        bootstrap.figure(np.stack([losses, ones], axis=1), ratio, known),
        bootstrap.figure(np.stack([squares, ones], axis=1), ratio, known),
        bootstrap.figure(gaps, _mean_gap, known).centred(),
    )
    return dict(zip(ERRORS, figures, strict=True))


def _mean_gap(sums: np.ndarray) -> np.ndarray:
    """The expected calibration error, from each bin's surplus of positives and the slices, `[..., bins + 1]`."""
    return ratio(np.stack([np.abs(sums[..., :-1]).sum(axis=-1), sums[..., -1]], axis=-1))


def _before_and_after(before: Drawn, after: Drawn) -> dict[str, float]:
    errors = _with_ends("before", before) | _with_ends("after", after)
    not_negative = {name: float(np.maximum(value, 0)) for name, value in errors.items()}
    return not_negative | _with_ends("change", after.minus(before))


def _with_ends(name: str, figure: Drawn) -> dict[str, float]:
    low, high = figure.ends
    return {name: figure.value, f"{name}_low": low, f"{name}_high": high}


def decisions(parts: Sequence[Judged]) -> pd.DataFrame:
    """One row per part, label and model (as trained at 0.5, and tuned): what its threshold does.

    Columns: `threshold`; `positive` (slices with the label) and `patients` (with it); `sensitivity`, `specificity` and
    `ppv`, each with `_low` and `_high`, 95 % intervals by resampling patients.
    """
    return pd.DataFrame([row for judged in parts for row in _decisions_of(judged)])


def _decisions_of(judged: Judged) -> Iterable[dict[str, object]]:
    for label, column, known in judged.columns():
        if not known.any():
            continue
        positive = judged.labels[known, column] > 0.5
        for name, decided in ((BEFORE, judged.before), (AFTER, judged.after)):
            thresholds = decided.thresholds[known, column]
            called = decided.probabilities(known, column) >= thresholds
            yield {
                "part": judged.part,
                "label": label,
                "model": name,
                "threshold": judged.thresholds[label] if name == AFTER else float(thresholds[0]),
                "positive": int(positive.sum()),
                "patients": len(np.unique(judged.patients[known][positive])),
            } | _rates(called, positive, judged.bootstrap, known)


def _rates(
    called: np.ndarray, positive: np.ndarray, bootstrap: PatientBootstrap, known: np.ndarray
) -> dict[str, float]:
    pairs = {
        "sensitivity": (called & positive, positive),
        "specificity": (~called & ~positive, ~positive),
        "ppv": (called & positive, called),
    }
    rates: dict[str, float] = {}
    for name, pair in pairs.items():
        rates |= _with_ends(name, bootstrap.figure(np.stack(pair, axis=1).astype(float), ratio, known))
    return rates
