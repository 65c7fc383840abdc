"""How a model's logits become probabilities that mean what they say."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.special import expit

from ichtune.labels import LABELS
from ichtune.recipe import Section

Method = Literal["temperature", "platt", "none"]


class Calibration(Section):
    """A slope and an intercept per label: the probability is that of the logit `slope * logit + intercept`.

    Temperature scaling (Guo et al., ICML 2017) has slopes alone, 1 / temperature; Platt scaling (Platt 1999) has both.
    Slopes are positive, so that calibration never changes the order of a label's slices.
    """

    method: Method
    slopes: dict[str, Annotated[float, Field(gt=0)]]
    intercepts: dict[str, float]
    chosen: str
    """On what it was fitted, and which labels were left as they are, in words."""

    @classmethod
    def identity(cls, chosen: str) -> "Calibration":
        """The calibration that changes nothing, and why."""
        return cls(
            method="none",
            slopes=dict.fromkeys(LABELS, 1.0),
            intercepts=dict.fromkeys(LABELS, 0.0),
            chosen=chosen,
        )

    @model_validator(mode="after")
    def _labels_are_ours(self) -> "Calibration":
        if tuple(self.slopes) != LABELS or tuple(self.intercepts) != LABELS:
            raise ValueError(f"slopes and intercepts must be those of {', '.join(LABELS)}, in this order")
        return self

    def logits(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated logits `[..., 6]` (float64) of a network's logits `[..., 6]`."""
        slopes, intercepts = (
            np.array([of[label] for label in LABELS]) for of in (self.slopes, self.intercepts)
        )
        return slopes * logits.astype(np.float64) + intercepts

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities `[..., 6]` (float64) of a network's logits `[..., 6]`."""
        return expit(self.logits(logits))
