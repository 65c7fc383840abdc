"""Calibration and thresholds of a model, fitted on out-of-fold predictions and judged on others by cross-fitting."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from analysis.calibration.out_of_fold import FEWEST, OutOfFold
from analysis.calibration.scaling import Scaling, fit_scaling
from analysis.calibration.thresholds import best_f1, reaching
from analysis.calibration.wanted import Wanted
from ichtune.averaging import together
from ichtune.inference.calibration import Calibration
from ichtune.labels import LABELS
from ichtune.metrics import THRESHOLD


class Decided(NamedTuple):
    """Calibrated logits of n slices, `[n, 6]`, and the threshold for each of them, `[n, 6]`."""

    logits: np.ndarray
    thresholds: np.ndarray

    @classmethod
    def as_trained(cls, logits: np.ndarray) -> "Decided":
        """A network's own logits `[n, 6]`, or those of the mean of several, from `[M, n, 6]`; and 0.5."""
        mean = _mean(logits)
        return cls(mean, np.full(mean.shape, THRESHOLD))

    def probabilities(self, rows: np.ndarray, label: int) -> np.ndarray:
        """The probabilities of a label (a column) for some slices."""
        return expit(self.logits[rows, label].astype(np.float64))


@dataclass(frozen=True)
class Tuned:
    """A calibration and a threshold per label, and what they were chosen on."""

    out_of_fold: OutOfFold
    wanted: Wanted

    @cached_property
    def calibration(self) -> Calibration:
        """The calibration, for a model."""
        columns = zip(*self._fitted.scalings, strict=True)
        slopes, intercepts = (dict(zip(LABELS, values, strict=True)) for values in columns)
        return Calibration(
            method=self.wanted.calibration, slopes=slopes, intercepts=intercepts, chosen=self._calibrated_on
        )

    @property
    def thresholds(self) -> dict[str, float]:
        """The threshold of each label's calibrated probability, for a model."""
        return dict(zip(LABELS, self._fitted.thresholds.tolist(), strict=True))

    @property
    def thresholds_chosen(self) -> str:
        """What the thresholds were chosen for and on, and which labels kept 0.5."""
        purpose = {
            "fixed": f"{THRESHOLD} for every label, not chosen",
            "f1": "the highest F1",
            "sensitivity": f"a sensitivity of at least {self.wanted.sensitivity}",
        }[self.wanted.rule]
        if self.wanted.rule == "fixed":
            return purpose
        few = self._listed(~self.out_of_fold.enough)
        kept = f"; {few} kept {THRESHOLD} ({_TOO_FEW})" if few else ""
        return f"for {purpose} on the {self.out_of_fold}{kept}"

    def decide(self, logits: np.ndarray) -> Decided:
        """Other slices, which nothing was chosen on, from a network's logits `[n, 6]` or several's `[M, n, 6]`."""
        decided = self._fitted.logits(logits)
        return Decided(decided, np.broadcast_to(self._fitted.thresholds, decided.shape))

    @cached_property
    def cross_fitted(self) -> Decided:
        """Each part's slices as decided by what is fitted on the other parts, which have none of their patients."""
        logits = np.empty(self.out_of_fold.labels.shape)
        thresholds = np.empty_like(logits)
        parts = self.out_of_fold.parts
        for part in np.unique(parts):
            here = parts == part
            fitted = _fit(self.out_of_fold.take(~here), self.out_of_fold.enough, self.wanted)
            logits[here] = fitted.logits(self.out_of_fold.logits[..., here, :])
            thresholds[here] = fitted.thresholds
        return Decided(logits, thresholds)

    @cached_property
    def _fitted(self) -> "_Fitted":
        return _fit(self.out_of_fold, self.out_of_fold.enough, self.wanted)

    @property
    def _calibrated_on(self) -> str:
        if self.wanted.calibration == "none":
            return "not calibrated, as asked for"
        name = {"temperature": "temperature", "platt": "Platt"}[self.wanted.calibration]
        same = np.array([scaling == Scaling() for scaling in self._fitted.scalings])
        few, unfit = (
            self._listed(which) for which in (~self.out_of_fold.enough, same & self.out_of_fold.enough)
        )
        kept = [
            f"{labels} left as predicted ({why})"
            for labels, why in ((few, _TOO_FEW), (unfit, "no scaling fits"))
            if labels
        ]
        return "; ".join([f"{name} scaling on the {self.out_of_fold}", *kept])

    def _listed(self, which: np.ndarray) -> str:
        return ", ".join(label for label, chosen in zip(LABELS, which, strict=True) if chosen)


_TOO_FEW = f"fewer than {FEWEST} patients with or without it"


class _Fitted(NamedTuple):
    scalings: list[Scaling]
    thresholds: np.ndarray
    """`[6]`"""

    def logits(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated logits `[n, 6]` of one model, or those of the mean of several's calibrated probabilities."""
        slopes, intercepts = np.array(self.scalings).T
        return _mean(slopes * logits + intercepts)


def _mean(logits: np.ndarray) -> np.ndarray:
    return together(logits) if logits.ndim == 3 else logits


def _fit(out_of_fold: OutOfFold, enough: np.ndarray, wanted: Wanted) -> _Fitted:
    """The scaling and threshold of each label; those without enough patients keep their probabilities and 0.5."""
    scalings, thresholds = [Scaling()] * len(LABELS), np.full(len(LABELS), THRESHOLD)
    for column in np.flatnonzero(enough):
        truth = out_of_fold.labels[:, column]
        known = ~np.isnan(truth)
        logits, truth = out_of_fold.logits[..., known, column].astype(np.float64), truth[known]
        # Models of a recipe share their scaling: a fold alone has too few patients for one of its own.
        each = np.broadcast_to(truth, logits.shape)
        scaling = fit_scaling(logits.ravel(), each.ravel(), wanted.calibration) or Scaling()
        scalings[column] = scaling
        probs = expit(scaling.slope * logits + scaling.intercept).reshape(-1, len(truth)).mean(axis=0)
        thresholds[column] = _threshold(probs, truth, wanted)
    return _Fitted(scalings, thresholds)


def _threshold(probs: np.ndarray, truth: np.ndarray, wanted: Wanted) -> float:
    if wanted.rule == "fixed" or not truth.any():
        return THRESHOLD
    if wanted.rule == "f1":
        return best_f1(probs, truth)
    assert wanted.sensitivity is not None, "a rule by sensitivity has one"
    return reaching(wanted.sensitivity, probs, truth)
