"""What reading whole scans adds: heads on scans and neighbours as channels, against a linear head on single slices.

    python benchmarks/scans.py STORE [--size 224] [--epochs 30]

Prints JSON. Each head is trained on a frozen EfficientNet-Lite0 with each of the same learning rates, on the store's
folds, and is scored by its best rate; each fold is scored at the epoch that is best for the others. `gain` is the
score minus that of the linear head, with its 95 % interval paired by patient. The rates are chosen by these very
scores, for all heads alike, which the intervals don't know.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from analysis.statistics.influence import Measure, Truth
from analysis.statistics.significance import Scores
from ichtune.bank.build import build
from ichtune.data.store import SliceStore
from ichtune.recipe import Recipe
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.space import Space
from ichtune.training.experiment import Experiment
from ichtune.training.session import TrainingSession

RATES = (1e-3, 3e-3)
METRICS = ("auc", "average_precision")
SCAN = {"hidden": 64, "dropout": 0.3, "differences": True}
HEADS: dict[str, dict[str, object]] = {
    "linear": {"name": "linear"},
    "linear, neighbours 1": {"name": "linear"},
    "mlp": {"name": "mlp", "dropout": 0.3},
    "mlp, neighbours 1": {"name": "mlp", "dropout": 0.3},
    "gru": {"name": "gru", **SCAN},
    "attention": {"name": "attention", **SCAN},
    "conv": {"name": "conv", "layers": 2, **SCAN},
}


@dataclass(frozen=True)
class Trained:
    """A head at its best learning rate, with its out-of-fold logits `[N, 6]`."""

    rate: float
    logits: np.ndarray


def experiment(store: SliceStore, size: int, neighbours: int) -> Experiment:
    """Return what trainings on these inputs share, with their features computed."""
    space = Space.load("scans").changed({"model.size": size, "model.neighbours": neighbours})
    planned = plan(store.path, space, SearchSettings(name="scans", runs=tempfile.gettempdir()))
    build(planned.parts)
    return planned.experiment


def recipe(head: dict[str, object], size: int, neighbours: int, rate: float, epochs: int) -> Recipe:
    return Recipe.model_validate(
        {
            "model": {
                "backbone": "efficientnet_lite0",
                "size": size,
                "neighbours": neighbours,
                "dropout": 0.3,
            },
            "head": head,
            "loss": {"name": "bce", "pos_weight": "balanced"},
            "optimizer": {"name": "adam", "lr": rate},
            "schedule": {"name": "cosine"},
            "training": {"epochs": epochs},
        }
    )


def out_of_fold(shared: Experiment, wanted: Recipe, rows: int) -> np.ndarray:
    """Return logits `[N, 6]`, each fold's at the epoch that is best for the others; NaN outside the folds."""
    session = TrainingSession("auc", epochs=wanted.training.epochs, patience=None)
    logits = np.full((rows, 6), np.nan, dtype=np.float32)
    folds = shared.all_folds
    for epoch in session.run(shared.epochs(wanted, device=torch.device("cpu"), threads=1)):
        for fold in epoch.scored_folds:
            logits[folds[fold].valid] = epoch.result.logits[fold]
    return logits


def trained(store: SliceStore, truth: Truth, size: int, epochs: int) -> Iterator[tuple[str, Trained]]:
    measure = Measure("auc", truth)
    shared = {neighbours: experiment(store, size, neighbours) for neighbours in (0, 1)}
    for name, head in HEADS.items():
        neighbours = int("neighbours" in name)
        tried = [
            Trained(
                rate,
                out_of_fold(
                    shared[neighbours], recipe(head, size, neighbours, rate, epochs), len(store.labels)
                ),
            )
            for rate in RATES
        ]
        yield name, max(tried, key=lambda each: Scores.of(measure, [each.logits]).values[0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    store = SliceStore.open(arguments.store.absolute())
    truth = Truth(store.labels, store.patients, experiment(store, arguments.size, 0).all_folds)
    heads = dict(trained(store, truth, arguments.size, arguments.epochs))
    scores = {
        metric: Scores.of(Measure(metric, truth), [head.logits for head in heads.values()])
        for metric in METRICS
    }
    figures = {
        name: {"lr": head.rate}
        | {metric: float(scores[metric].values[i]) for metric in METRICS}
        | {f"{metric}_gain": scores[metric].differences(0)[i].tolist() for metric in METRICS}
        for i, (name, head) in enumerate(heads.items())
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
