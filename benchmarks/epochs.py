"""What choosing the best epoch adds to a score, on made-up trainings whose epochs are all equally good.

    python benchmarks/epochs.py [--trainings 150] [--seed 0]

A training is 20 epochs with a true AUC of 0.80 each, on the same patients; 10 to 50 % of an epoch's noise is its own.
Prints JSON, one record per data set and way of choosing an epoch: `one epoch` (no choice), `best for all folds` (what a
search sees) and `best for the other folds` (what a ranking scores), with the bias of the score and how often its 95 %
interval has the truth.
"""

import argparse
import json
from dataclasses import replace

import numpy as np
from scipy.special import expit

from benchmarks.certainty import scored
from benchmarks.simulated_searches import AUC, CT_ICH, RSNA, Population, Search, search
from ichtune.metrics import evaluate, nan_mean
from ichtune.runs.best_epoch import EpochsByOtherFolds

EPOCHS, OWN = 20, (0.1, 0.5)
CELLS = ((CT_ICH, 50, 1.0), (RSNA, 200, 1.0), (RSNA, 1000, 0.25))
"""A data set, its patients, and its share of the trainings."""


def figures(population: Population, patients: int, trainings: int, seed: int) -> list[dict[str, object]]:
    """The bias and coverage of each way of choosing an epoch."""
    rng = np.random.default_rng([seed, patients])
    found: dict[str, list[tuple[float, bool]]] = {}
    for _ in range(trainings):
        drawn = search(rng, population, patients, np.full(EPOCHS, AUC), OWN)
        for way, epochs in _ways(_by_fold(drawn)).items():
            found.setdefault(way, []).append(_judged(drawn, epochs))
    about = {"data": population.name, "patients": patients, "trainings": trainings}
    return [
        about | {"epoch": way, "bias": float(np.mean(bias)), "coverage": float(np.mean(covered))}
        for way, judged in found.items()
        for bias, covered in [zip(*judged, strict=True)]
    ]


def _by_fold(drawn: Search) -> np.ndarray:
    """The AUC of each epoch on each fold, `[E, F]`."""
    parts = [drawn.folds == fold for fold in np.unique(drawn.folds)]
    probabilities = expit(drawn.logits.astype(np.float64))
    return np.array(
        [[evaluate(epoch[part], drawn.labels[part])["auc"] for part in parts] for epoch in probabilities]
    )


def _ways(scores: np.ndarray) -> dict[str, list[int]]:
    """The epoch of each fold, by the way of choosing it."""
    folds = scores.shape[1]
    common = int(np.argmax([nan_mean(epoch) for epoch in scores]))
    by_others = EpochsByOtherFolds("auc")
    for number, values in enumerate(scores):
        by_others.update(number, values)
    return {
        "one epoch": [0] * folds,
        "best for all folds": [common] * folds,
        "best for the other folds": by_others.epochs,
    }


def _judged(drawn: Search, epochs: list[int]) -> tuple[float, bool]:
    """By how much the score is off, and whether its interval has the truth."""
    logits = np.empty_like(drawn.logits[0])
    for fold, epoch in enumerate(epochs):
        logits[drawn.folds == fold] = drawn.logits[epoch][drawn.folds == fold]
    scores = scored(replace(drawn, logits=logits[None]))
    low, high = scores.intervals()[0]
    return float(scores.values[0] - AUC), bool(low <= AUC <= high)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainings", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for population, patients, share in CELLS:
        for record in figures(population, patients, max(round(given.trainings * share), 1), given.seed):
            print(json.dumps(record), flush=True)
