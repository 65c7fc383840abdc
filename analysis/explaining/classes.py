"""How well a model recognises each class of slices, by its thresholds."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ichtune.labels import ANY, LABELS, SUBTYPES

NONE: Final = "none"
CLASSES: Final = (*SUBTYPES, NONE)


@dataclass(frozen=True)
class ClassAccuracy:
    """The slices of a class, and how many of them are recognised."""

    name: str
    places: np.ndarray
    """The class's slices, int64 `[n]`."""
    right: np.ndarray
    """Whether each of them is recognised, bool `[n]`."""

    @property
    def share(self) -> float:
        """NaN if the class has no slices."""
        return float(self.right.mean()) if len(self.right) else float("nan")


def class_accuracies(truth: np.ndarray, present: np.ndarray) -> list[ClassAccuracy]:
    """Each class's accuracy, of labels `[n, 6]` (NaN if unknown) and predictions (bool `[n, 6]`).

    A slice with a hemorrhage is recognised if that label is predicted, whatever else is, and one without any if `any`
    isn't: accuracy within a class is the sensitivity of a label, and the specificity of `any` for "none".
    """
    found = []
    for name in CLASSES:
        at = LABELS.index(ANY if name == NONE else name)
        places = np.flatnonzero(truth[:, at] == (name != NONE))
        found.append(ClassAccuracy(name, places, present[places, at] == (name != NONE)))
    return found
