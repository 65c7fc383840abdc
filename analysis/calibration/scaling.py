"""Temperature and Platt scaling of one label's logits, fitted by scikit-learn."""

from typing import Final, NamedTuple

import numpy as np
from scipy.special import logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from ichtune.inference.calibration import Method

_SCIKIT_LEARNS: Final = {"temperature": "temperature", "platt": "sigmoid"}
_STEEPEST: Final = 10_000.0
"""Slopes above it, or below its inverse, are ends of a search: the logits hardly rank the label."""
_STEP: Final = 0.01


class Scaling(NamedTuple):
    """Calibrated logits are `slope * logit + intercept`."""

    slope: float = 1.0
    intercept: float = 0.0


def fit_scaling(logits: np.ndarray, truth: np.ndarray, method: Method) -> Scaling | None:
    """The scaling that fits logits `[n]` to known truth `[n]` (0 or 1) best.

    None if there is none: a class is missing, higher logits don't mean more positives, or the logits' signs are all
    right, so that a lower temperature is always better.
    """
    if method == "none":
        return Scaling()
    separated = method == "temperature" and ((logits > 0) == (truth > 0)).all()
    if separated or len(np.unique(truth)) < 2:
        return None
    rows = np.arange(len(truth))
    calibrator = CalibratedClassifierCV(
        FrozenEstimator(_Logits()), method=_SCIKIT_LEARNS[method], ensemble=False, cv=[(rows, rows)]
    )
    calibrator.fit(logits.astype(np.float64)[:, None], truth.astype(int))
    # Both are lines on the logit scale, which two points define.
    start, end = logit(calibrator.predict_proba(np.array([[0.0], [_STEP]]))[:, 1])
    slope = float(end - start) / _STEP
    return Scaling(slope, float(start)) if 1 / _STEEPEST < slope < _STEEPEST else None


class _Logits(ClassifierMixin, BaseEstimator):
    """A classifier whose decision function is its only feature."""

    classes_ = np.array([0, 1])

    def fit(self, features: np.ndarray, truth: np.ndarray) -> "_Logits":
        return self

    def decision_function(self, features: np.ndarray) -> np.ndarray:
        return features[:, 0]

    def predict(self, features: np.ndarray) -> np.ndarray:
        return (features[:, 0] > 0).astype(int)

    def __sklearn_is_fitted__(self) -> bool:
        return True
