"""The threshold of one label, chosen on the curves of scikit-learn."""

import math
from typing import Final

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

_DIGITS: Final = 4
_HIGHEST: Final = 0.9999


def best_f1(probs: np.ndarray, truth: np.ndarray) -> float:
    """The threshold with the highest F1 for probabilities `[n]` and their truth `[n]`; the lowest of several."""
    precision, recall, thresholds = precision_recall_curve(truth, probs)
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)[:-1]
    return _rounded_down(float(thresholds[np.argmax(f1)]))


def reaching(sensitivity: float, probs: np.ndarray, truth: np.ndarray) -> float:
    """The highest threshold from which at least this share of positives is called positive."""
    _, found, thresholds = roc_curve(truth, probs, drop_intermediate=False)
    return _rounded_down(float(thresholds[np.argmax(found >= sensitivity)]))


def _rounded_down(threshold: float) -> float:
    """The threshold with four digits, never above what it was: the slice that defines it remains positive."""
    if threshold <= 0:
        return 0.0
    scale = 10.0 ** (_DIGITS - 1 - math.floor(math.log10(threshold)))
    return min(math.floor(threshold * scale) / scale, _HIGHEST)
