"""What a search is asked for, apart from its data and its space."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SearchSettings:
    """How many trials, how they are scored and stopped, on what resources, and where the run goes."""

    trials: int = 30
    """For the grid sampler at most this many; it ends with its last combination."""
    name: str | None = None
    """The run's name; None is the space's name and the time."""
    runs: str | Path = "runs"
    """Folder of all runs: a path, or a URI such as `s3://bucket/runs`."""
    address: str | None = None
    """A Ray cluster's address; None starts a local Ray."""
    folds: int = 5
    sampler: str = "tpe"
    grace: int = 2
    """Epochs before ASHA may stop a trial."""
    reduction: float = 3.0
    """ASHA lets one in so many go on at each rung."""
    views: int = 4
    """Augmented views of each slice in the feature bank."""
    cpus_per_trial: float = 1.0
    gpus_per_trial: float | None = None
    """None is a quarter of a GPU where the cluster has any."""
    max_concurrent: int | None = None
    time_budget_s: float | None = None
    max_failures: int = 3
    """How often a trial that broke is tried again, from its last checkpoint."""
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a YAML file."""
        return {
            name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()
        }
