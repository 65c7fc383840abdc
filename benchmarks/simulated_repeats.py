"""What repeated cross-validation is worth where the truth is known, in patients too.

    python benchmarks/simulated_repeats.py [--searches 80] [--patients 50 75] [--seed 0]

Prints JSON. Each search draws patients whose slices have made-up features, trains the heads of a dozen recipes on them
by cross-validation on 1, 2 and 4 partitions into five folds, and ranks them by the AUC after the last epoch. How good
the trained models really are is measured on slices of many other patients. For each number of patients and partitions:

- `error`: the standard deviation of a score around the true AUC of the models behind it.
- `difference_error`: the same for the difference between two recipes.
- `coverage`: how often a 95 % interval by patient holds the true AUC of the models behind it.
- `width`: the mean width of these intervals.
- `kendall_tau`: between the ranking of a search and that of the true AUC of recipes, its mean over all searches with as
  many patients.
- `lost`: how much lower the true AUC of the search's first recipe is than that of the best.
"""

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import expit
from scipy.stats import kendalltau

from analysis.statistics.influence import Measure, Truth
from analysis.statistics.significance import Scores
from benchmarks.repeats import rounded
from ichtune.data.partitions import draw_folds
from ichtune.data.splits import fold_rows
from ichtune.metrics import evaluate
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.recipe import Recipe
from ichtune.training.batches import Fold
from ichtune.training.fit import fit
from ichtune.training.predict import predict

PARTITIONS = (1, 2, 4)
FOLDS, SLICES, WIDTH, OTHERS = 5, 20, 24, 300
CPU = torch.device("cpu")
RECIPES = [
    Recipe.parse(
        {
            "model": {"dropout": dropout},
            "loss": loss,
            "optimizer": {"name": "adam", "lr": lr},
            "training": {"epochs": 6, "batch_size": 32},
        },
        "simulated",
    )
    for lr, loss, dropout in product(
        (0.0005, 0.002, 0.01), ({"name": "bce"}, {"name": "bce", "pos_weight": "balanced"}), (0.0, 0.5)
    )
]


class Heads(NamedTuple):
    """Slices with made-up features `[n, D]`, their labels `[n, 6]` and patients `[n]`."""

    features: torch.Tensor
    labels: np.ndarray
    patients: np.ndarray

    def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
        return (self.features[torch.from_numpy(rows)] for rows in chunks)


class Outcome(NamedTuple):
    """A search on some partitions: of each recipe, score, interval and the true AUC of its models, each `[T]`."""

    scores: np.ndarray
    low: np.ndarray
    high: np.ndarray
    truths: np.ndarray


def draw(rng: np.random.Generator, patients: int, directions: np.ndarray) -> Heads:
    """Draw patients of 20 slices: labels run in patients, and features move with labels, patients and slices."""
    patient = np.repeat(np.arange(patients), SLICES)
    five = (rng.random((patients, 5)) < 0.25)[patient] & (rng.random((len(patient), 5)) < 1 / 3)
    labels = np.column_stack([five, five.any(axis=1)]).astype(np.float32)
    features = labels[:, :5] @ directions + rng.normal(0, 1, (patients, WIDTH))[patient]
    features += rng.normal(0, 1, features.shape)
    return Heads(torch.from_numpy(features.astype(np.float32)), labels, patient)


def folds_of(heads: Heads, rng: np.random.Generator) -> list[Fold]:
    """Return the folds of all partitions."""
    drawn = [draw_folds(heads.patients, heads.labels, FOLDS, rng) for _ in range(max(PARTITIONS))]
    return [
        Fold(partition * FOLDS + number, train, valid, partition, partition)
        for partition, fold in enumerate(drawn)
        for number, (train, valid) in enumerate(fold_rows(fold, FOLDS))
    ]


def train(recipe: Recipe, heads: Heads, folds: list[Fold], others: Heads) -> tuple[np.ndarray, np.ndarray]:
    """Return a recipe's out-of-fold logits `[R, N, 6]` and the AUC of each fold's model on other patients."""
    network = Network(None, make_heads(recipe, WIDTH, [fold.index for fold in folds]))
    *_, last = fit(network, heads, heads.labels, folds, recipe, device=CPU)
    logits = np.full((max(PARTITIONS), *heads.labels.shape), np.nan)
    for fold, own in zip(folds, last.logits, strict=True):
        logits[fold.partition, fold.valid] = own
    elsewhere = predict(network, others, np.arange(len(others.labels)), device=CPU).numpy()
    return logits, np.array([evaluate(expit(own), others.labels)["auc"] for own in elsewhere])


def search(patients: int, seed: int, number: int) -> dict[int, Outcome]:
    """Return the outcome of a search by number of partitions."""
    torch.set_num_threads(1)
    directions = np.random.default_rng([seed, 1]).normal(0, 0.35, (5, WIDTH))
    rng = np.random.default_rng([seed, 2, patients, number])
    heads, others = draw(rng, patients, directions), draw(rng, OTHERS, directions)
    folds = folds_of(heads, rng)
    trained = [train(recipe, heads, folds, others) for recipe in RECIPES]
    outcomes = {}
    for count in PARTITIONS:
        truth = Truth(heads.labels, heads.patients, folds[: count * FOLDS])
        scores = Scores.of(Measure("auc", truth), (logits for logits, _ in trained))
        real = np.array([areas[: count * FOLDS].mean() for _, areas in trained])
        outcomes[count] = Outcome(scores.values, *scores.intervals().T, real)
    return outcomes


def figures(outcomes: list[Outcome], best: np.ndarray) -> dict[str, float]:
    """Return the figures of many searches; `best` is the recipes' true AUC `[T]`."""
    scores, low, high, truths = (np.array(values) for values in zip(*outcomes, strict=True))
    off = scores - truths
    pairs = off[:, :, None] - off[:, None, :]
    return {
        "error": off.std(axis=0, ddof=1).mean(),
        "difference_error": pairs.std(axis=0, ddof=1)[np.triu_indices(len(RECIPES), 1)].mean(),
        "coverage": ((low <= truths) & (truths <= high)).mean(),
        "width": (high - low).mean(),
        "kendall_tau": np.mean([kendalltau(row, best).statistic for row in scores]),
        "lost": np.mean(best.max() - best[scores.argmax(axis=1)]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--searches", type=int, default=80)
    parser.add_argument("--patients", type=int, nargs="+", default=[50, 75])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found: dict[int, dict[int, Any]] = {}
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        for patients in arguments.patients:
            made = list(pool.map(partial(search, patients, arguments.seed), range(arguments.searches)))
            best = np.mean([outcomes[max(PARTITIONS)].truths for outcomes in made], axis=0)
            found[patients] = {
                count: figures([outcomes[count] for outcomes in made], best) for count in PARTITIONS
            }
    print(json.dumps(rounded({"searches": arguments.searches, "patients": found}), indent=2))


if __name__ == "__main__":
    main()
