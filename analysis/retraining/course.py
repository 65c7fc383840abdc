"""How a training went, epoch by epoch."""

from dataclasses import dataclass
from typing import Any

from ichtune.runs.ends import TrialEnd


@dataclass(frozen=True)
class Course:
    """A training that has ended, or the search's own for a fold."""

    name: str
    history: list[dict[str, Any]]
    """One record per epoch, as returned by `EpochRecord.of_fold`."""
    best_epoch: int
    """The epoch that the weights are from."""
    ended: TrialEnd
