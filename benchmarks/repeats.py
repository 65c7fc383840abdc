"""Gain and cost of repeated cross-validation: how much of a score and of a ranking is the partition's luck.

    python benchmarks/repeats.py [--data STORE] [--space quick] [--trials 40] [--epochs 10] [--partitions 16]

Prints JSON. One search of random recipes, every trial to its last epoch, is scored on many partitions of the same
patients. Their folds are then put together to searches on 1, 2 and 4 partitions that share none, each with its own
best epochs, as `--repeats-cv` would have found them:

- `score_sd`: the standard deviation of a recipe's score over such searches, the mean over recipes.
- `difference_sd`: the same for the difference between two recipes, the mean over all pairs.
- `kendall_tau`: between the rankings of two such searches, the mean over all pairs of searches.
- `same_best`: how often two such searches have the same recipe first.
- `lost`: how much worse the first recipe is than the best one, on the partitions that did not choose it.

They differ in all that a partition changes, the random numbers of training included. `search` has whole searches on as
many partitions with a finished bank: the time of all trials, the CPU time to train the heads of one, and the median
standard error of a score by patient.

Without --data the slices are made-up heads.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import deque
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from scipy.stats import kendalltau

from analysis.results import RankedResults
from ichtune.data.phantom.demo import demo_store
from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder
from ichtune.search.resume import resume

LAUNCH = Path(__file__).resolve().parents[1] / "launch.py"
REPEATS = (1, 2, 4)
METRIC = "auc"
HEAD_SAMPLE = 10


def search(data: Path, repeats: int, arguments: argparse.Namespace, runs: Path) -> RunFolder:
    """Run a search of random recipes, none of which ends early."""
    command = [sys.executable, LAUNCH, "--data", data, "--space", arguments.space, "--sampler", "random"]
    command += ["--trials", arguments.trials, "--max-epochs", arguments.epochs, "--grace", arguments.epochs]
    command += ["--repeats-cv", repeats, "--runs", runs, "--name", repeats, "--set", f"metric={METRIC}"]
    print("searching on", repeats, "partitions", file=sys.stderr)
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)
    return RunFolder.open(runs / str(repeats))


def fold_scores(run: RunFolder) -> np.ndarray:
    """Return each trial's score after each epoch on each fold, `[T, E, R, K]`; without trials that diverged."""
    records = [record for record in run.trial_records() if not record.last.diverged]
    scores = np.array([[epoch.folds[METRIC] for epoch in record.epochs] for record in records])
    return scores.reshape(*scores.shape[:2], run.request.validation.partitions, -1)


def kept_scores(folds: np.ndarray) -> np.ndarray:
    """Return the mean over folds at each trial's best epoch `[T]`, from `[T, E, R, K]`."""
    return np.nanmax(np.nanmean(folds, axis=(2, 3)), axis=1)


def luck(folds: np.ndarray, repeats: int) -> dict[str, float]:
    """Return what differs between searches on so many partitions each, from all their folds `[T, E, R, K]`."""
    count = folds.shape[2] // repeats
    groups = np.arange(count * repeats).reshape(count, repeats)
    scores = np.array([kept_scores(folds[:, :, group]) for group in groups])
    others = np.array([kept_scores(np.delete(folds, group, axis=2)) for group in groups])
    pairs = list(combinations(range(count), 2))
    trials = list(combinations(range(scores.shape[1]), 2))
    first = scores.argmax(axis=1)
    return {
        "searches": count,
        "score_sd": scores.std(axis=0, ddof=1).mean(),
        "difference_sd": np.mean([(scores[:, a] - scores[:, b]).std(ddof=1) for a, b in trials]),
        "kendall_tau": np.mean([kendalltau(scores[a], scores[b]).statistic for a, b in pairs]),
        "same_best": np.mean([first[a] == first[b] for a, b in pairs]),
        "lost": np.mean([other.max() - other[best] for other, best in zip(others, first, strict=True)]),
    }


def cost(run: RunFolder) -> dict[str, float]:
    """Return the seconds of a search's trials, the CPU time of a trial's heads, and the typical standard error."""
    results = RankedResults.of(run)
    return {
        "trials_s": json.loads((run.path / "times.json").read_text())["trials_s"],
        "cpu_s_per_trial": head_seconds(run),
        "standard_error": results.certainty.typical_error,
    }


def head_seconds(run: RunFolder) -> float:
    """Return the mean CPU time of some of the run's recipes with `fit` alone, on one thread."""
    torch.set_num_threads(1)
    experiment = resume(run, {}).experiment
    recipes = [record.recipe for record in run.trial_records()][:HEAD_SAMPLE]
    begun = time.process_time()
    for recipe in recipes:
        deque(experiment.epochs(recipe, device=torch.device("cpu"), threads=1), maxlen=0)
    return (time.process_time() - begun) / len(recipes)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="slice store (default: made-up heads)")
    parser.add_argument("--space", default="quick")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--partitions", type=int, default=16)
    arguments = parser.parse_args()
    data = (arguments.data or demo_store(Console(stderr=True))).absolute()
    with tempfile.TemporaryDirectory() as folder:
        many = fold_scores(search(data, arguments.partitions, arguments, Path(folder)))
        searches = {repeats: cost(search(data, repeats, arguments, Path(folder))) for repeats in REPEATS}
    store = SliceStore.open(data)
    figures = {
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__},
        "data": {"slices": len(store.train), "patients": len(np.unique(store.patients[store.train]))},
        "recipes": many.shape[0],
        "luck": {repeats: luck(many, repeats) for repeats in REPEATS},
        "search": searches,
    }
    print(json.dumps(rounded(figures), indent=2))


def rounded(value: Any) -> Any:
    """Return the same figures rounded to three digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
