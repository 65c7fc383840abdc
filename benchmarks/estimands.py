"""What scores and intervals are about: the population's value, and a recipe trained anew. Part of `certainty.py`.

- `average precision`: bias, coverage and width of the mean over folds and of the pooled average precision, where the
  folds' models have different scales; and the bias of pooling probabilities, logits standardized in each fold, and
  percentiles in each fold
- `trained anew`: how often the interval as trained, and those trained anew without and with reruns with other seeds,
  have the models' own score in the population (`as trained`), the recipe's mean over training sets (`recipe`), and the
  score of the models of another search (`another search`), and their `width`
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from analysis.statistics.anew import Variance, anew_intervals, of_training_sets, validation_share
from analysis.statistics.influence import Measure, Truth
from analysis.statistics.pooled import PooledAveragePrecision
from analysis.statistics.significance import Scores
from benchmarks.simulated_searches import (
    CT_ICH,
    FOLDS,
    RSNA,
    Population,
    rescaled,
    search,
    true_average_precision,
)
from benchmarks.simulated_trainings import Recipe, out_of_fold, patients, train, true_aucs
from ichtune.metrics import evaluate
from ichtune.training.batches import Fold

SIZES: Final = ((CT_ICH, 50, 1.0), (RSNA, 200, 0.5), (RSNA, 1000, 0.2))
"""Populations, numbers of patients, and the share of all searches that each gets."""
TRAININGS: Final = {"steady": Recipe(10, 1.0), "unsteady": Recipe(30, 3.0)}
SEEDS: Final = 3
"""Reruns with other seeds."""


def truth_of(labels: np.ndarray, patient: np.ndarray, folds: np.ndarray) -> Truth:
    """The truth of made-up slices, as a ranking knows it."""
    rows = np.arange(len(patient))
    parts = [Fold(k, rows[folds != k], rows[folds == k]) for k in range(FOLDS)]
    return Truth(labels.astype(float), patient, parts)


def average_precisions(searches: int, seed: int) -> Iterator[dict[str, Any]]:
    """How both kinds of average precision relate to the population's."""
    for population, count, share in SIZES:
        for auc in (0.80, 0.95):
            many = max(round(searches * share), 1)
            found = [
                _both_kinds(np.random.default_rng([seed, count, number]), population, count, auc)
                for number in range(many)
            ]
            about = {"kind": "average precision", "data": population.name, "patients": count, "auc": auc}
            means = {name: round(float(np.mean([one[name] for one in found])), 4) for name in found[0]}
            yield about | {"searches": many} | means


def _both_kinds(rng: np.random.Generator, population: Population, count: int, auc: float) -> dict[str, float]:
    made = search(rng, population, count, np.array([auc]))
    logits, truth = (
        rescaled(rng, made.logits[0], made.folds),
        truth_of(made.labels, made.patients, made.folds),
    )
    figures: dict[str, float] = {}
    for name, kind in (("mean over folds", Measure), ("pooled", PooledAveragePrecision)):
        measure = kind("average_precision", truth)
        value = np.mean([true_average_precision(auc, population, label) for label in measure.carriers])
        scores = Scores.of(measure, [logits])
        low, high = scores.intervals()[0]
        figures |= {"truth": value, f"{name}: bias": scores.values[0] - value}
        figures |= {f"{name}: coverage": float(low <= value <= high), f"{name}: width": high - low}
    for name, pool in POOLINGS.items():
        figures[f"{name}: bias"] = _scored_together(pool(logits, truth), truth) - figures["truth"]
    return figures


def _standardized(logits: np.ndarray, truth: Truth) -> np.ndarray:
    pooled = logits.astype(float)
    for fold in truth.folds:
        of_fold = pooled[fold.valid]
        pooled[fold.valid] = (of_fold - of_fold.mean(axis=0)) / of_fold.std(axis=0)
    return pooled


def _percentiles(logits: np.ndarray, truth: Truth) -> np.ndarray:
    pooled = logits.astype(float)
    for fold in truth.folds:
        pooled[fold.valid] = rankdata(pooled[fold.valid], axis=0) / len(fold.valid)
    return pooled


POOLINGS: Final = {
    "probabilities": lambda logits, _: logits.astype(float),
    "standardized": _standardized,
    "percentiles": _percentiles,
}
"""Other ways to make the logits `[N, 6]` of different folds comparable; probabilities have the order of logits."""


def _scored_together(pooled: np.ndarray, truth: Truth) -> float:
    """The mean over labels of scikit-learn's average precision."""
    labels = truth.labels.T[truth.labels.any(axis=0)]
    scores = pooled.T[truth.labels.any(axis=0)]
    return float(np.mean([average_precision_score(y, s) for y, s in zip(labels, scores, strict=True)]))


class Trained(NamedTuple):
    """The true score of a search's models, and the ends of each interval of their measured score."""

    truth: float
    ends: dict[str, np.ndarray]


def trained_anew(searches: int, seed: int) -> Iterator[dict[str, Any]]:
    """How often each interval has the score of the models, of the recipe, and of another search's models."""
    for population, count, share in SIZES:
        for name, recipe in TRAININGS.items():
            many = max(round(searches * share), 2)
            made = [
                _trained(np.random.default_rng([seed, count, number]), population, recipe, count)
                for number in range(many)
            ]
            truths = np.array([one.truth for one in made])
            about = {"kind": "trained anew", "data": population.name, "patients": count, "training": name}
            counted = {"searches": many, "truth": round(float(truths.mean()), 4)}
            for which in made[0].ends:
                ends = np.array([one.ends[which] for one in made])
                yield about | counted | {"interval": which} | _coverage(ends, truths)


def _trained(rng: np.random.Generator, population: Population, recipe: Recipe, count: int) -> Trained:
    made = patients(rng, population, recipe, count)
    truth = truth_of(made.labels, made.patients, made.folds)
    measure, weights = Measure("auc", truth), train(rng, recipe, made)
    logits = out_of_fold(made, weights)
    scores = Scores.of(measure, [logits])
    again = [measure.of(out_of_fold(made, train(rng, recipe, made)))[0] for _ in range(SEEDS)]
    by_fold = _by_fold(truth, logits)
    spread = of_training_sets(
        np.array([by_fold.std(ddof=1)]), np.array([len(by_fold)]), validation_share(truth)
    )
    by_seed = Variance(np.array([np.var(again, ddof=1)]), SEEDS - 1)
    ends = {
        "as trained": scores.intervals()[0],
        "trained anew": anew_intervals(scores, spread)[0],
        f"trained anew, {SEEDS} seeds": anew_intervals(scores, spread, by_seed)[0],
    }
    return Trained(_own_score(truth, true_aucs(recipe, weights)), ends)


def _by_fold(truth: Truth, logits: np.ndarray) -> np.ndarray:
    """The AUC of each fold in which it is defined, as training records it."""
    scores = np.array(
        [
            evaluate(expit(logits[fold.valid].astype(float)), truth.labels[fold.valid])["auc"]
            for fold in truth.folds
        ]
    )
    return scores[np.isfinite(scores)]


def _own_score(truth: Truth, aucs: np.ndarray) -> float:
    """The mean over folds and labels of true AUCs `[FOLDS, 6]`, where the measured ones are defined."""
    defined = [part.positive.any(axis=0) for part in truth.parts]
    return float(np.mean([of[known].mean() for of, known in zip(aucs, defined, strict=True) if known.any()]))


def _coverage(ends: np.ndarray, truths: np.ndarray) -> dict[str, float]:
    about = {"as trained": truths, "recipe": truths.mean(), "another search": np.roll(truths, 1)}
    low, high = ends.T
    covered = {name: float(np.mean((low <= value) & (value <= high))) for name, value in about.items()}
    return {
        name: round(float(value), 4) for name, value in (covered | {"width": np.mean(high - low)}).items()
    }
