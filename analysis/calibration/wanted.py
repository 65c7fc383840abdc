"""How a model is to be calibrated, and what its thresholds are for."""

from dataclasses import dataclass
from typing import Literal

from ichtune.errors import InputError


@dataclass(frozen=True)
class Wanted:
    """How to calibrate a model and what to choose its thresholds for, as asked for on the command line."""

    calibration: Literal["temperature", "platt", "none"] = "platt"
    thresholds: Literal["f1", "fixed"] | None = None
    """None is `f1`, unless a sensitivity is wanted."""
    sensitivity: float | None = None

    def __post_init__(self) -> None:
        if self.sensitivity is None:
            return
        if not 0 < self.sensitivity <= 1:
            raise InputError(f"--sensitivity: must be above 0 and at most 1, got {self.sensitivity:g}")
        if self.thresholds is not None:
            raise InputError(
                f"--sensitivity: chooses the thresholds, and so does --thresholds {self.thresholds}; leave out one"
            )

    @property
    def rule(self) -> Literal["f1", "sensitivity", "fixed"]:
        return "sensitivity" if self.sensitivity is not None else self.thresholds or "f1"
