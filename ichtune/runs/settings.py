"""Settings of a search, apart from its data and its space."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ichtune.options import option


@dataclass(frozen=True)
class SearchSettings:
    """Number of trials, how they are scored and stopped, their resources, and where the run is saved.

    With the grid sampler `trials` is a maximum: the search ends after the last combination. `gpus_per_trial` None means
    a quarter of a GPU, if there is one.
    """

    trials: int = option(30, "How many recipes to try.", min=1)
    name: str | None = option(None, "Name of the run (default: the space and the time).")
    runs: str | Path = option(
        "runs", "Folder of all runs, or s3://BUCKET/...; on a cluster, one that all nodes share."
    )
    address: str | None = option(None, "Ray cluster to join (default: a local Ray).")
    wait_for: str | None = option(
        None, "With --address: wait until the cluster has this in total, e.g. gpu=4 or cpu=16,gpu=4."
    )
    timeout_s: float = option(600.0, "Most seconds to wait for --wait-for.", flag="timeout", min=0)
    folds: int | None = option(
        None, "Folds that each trial is scored on (default: all of the store's).", min=1
    )
    repeats: int = option(
        1,
        "Trainings of each recipe with different random seeds; it is ranked by their mean. (`rank --seeds` retrains "
        "only the best recipes, afterwards.)",
        min=1,
    )
    repeats_cv: int = option(
        1,
        "Partitions of the patients into folds that each recipe is scored on: the store's own, and others. Multiplies "
        "with --repeats.",
        min=1,
    )
    promote: str | Path | None = option(
        None, "Fine-tune recipes of this run, each from its own heads (folder or URI of a finished search)."
    )
    top: str | None = option(
        None, "With --promote: how many of the best, or `ties` for all that may be the best (default: 8)."
    )
    spread: int | None = option(
        None, "With --promote: this many spread evenly over the ranking, instead of --top.", min=2
    )
    sampler: str = option("tpe", "tpe, random, grid, gp or cmaes.")
    grace: int = option(2, "Epochs before ASHA may stop a trial.", min=1)
    reduction: float = option(3.0, "N: keep the top 1/N at each ASHA rung.", min=1.1)
    views: int = option(4, "Augmented views of each slice in the feature bank.", min=1)
    bank: str | Path | None = option(
        None, "Folder of the feature bank (default: STORE/bank; the user's cache if read-only)."
    )
    engine: str = option(
        "auto", "What computes the feature bank: torch, openvino, onnxruntime, or the fastest here (auto)."
    )
    cpus_per_trial: float = option(1.0, "CPU cores per trial.", min=0.1)
    gpus_per_trial: float | None = option(
        None, "GPUs per trial, fractions allowed (default: a quarter if there are any; 0 for none).", min=0
    )
    max_concurrent: int | None = option(None, "Most trials to run at once.", min=1)
    time_budget_s: float | None = option(
        None, "Stop after running trials for this many seconds.", flag="time-budget", min=1
    )
    max_failures: int = option(3, "How often to retry a failed trial.", min=0)
    log: str | None = option(
        None,
        "Also log to mlflow, mlflow:URI, wandb (offline) or wandb:online; several with commas, none for no longer.",
        metavar="TRACKERS",
    )
    seed: int = option(0, "Random seed of sampler, augmentation and random weights.", min=0)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for a YAML file."""
        return {
            name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()
        }
