"""What thresholds chosen out of fold are worth for the mean of a trial's models, calibrated before or afterwards.

    python benchmarks/ensemble_calibration.py RUN --data STORE

Prints a Markdown row per label and way to average, means over the run's trials on a frozen backbone: sensitivity and
specificity at the threshold of the highest F1, out of fold and on the test set, and the log loss on the test set.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from sklearn.metrics import log_loss

from analysis.calibration.scaling import Scaling, fit_scaling
from analysis.calibration.thresholds import best_f1
from analysis.ranking.order import Ranking
from analysis.scoring.frozen import FrozenPredictor
from analysis.scoring.searched import searched_experiment
from ichtune.averaging import mean_prediction
from ichtune.cross_validation import CrossValidation
from ichtune.labels import LABELS
from ichtune.training.experiment import folds_of, open_store


def averages(logits: np.ndarray, scaling: Scaling) -> dict[str, np.ndarray]:
    """Probabilities `[K, n]` by what is averaged, from the logits of M models, `[M, n]`."""
    calibrated = scaling.slope * logits + scaling.intercept
    afterwards = scaling.slope * mean_prediction(logits) + scaling.intercept
    return {
        "probabilities, calibrated afterwards": expit(afterwards)[None],
        "calibrated logits": expit(calibrated.mean(axis=0))[None],
        "calibrated probabilities": expit(calibrated).mean(axis=0)[None],
        "nothing: each model by itself": expit(calibrated),
    }


def rates(called: np.ndarray, truth: np.ndarray) -> list[float]:
    """Sensitivity and specificity."""
    return [float(called[truth > 0].mean()), float(1 - called[truth == 0].mean())]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, help="new location of the run's store, if it was moved")
    parser.add_argument("--labels", nargs="+", choices=LABELS, default=["any", "epidural"])
    arguments = parser.parse_args()
    ranking = Ranking.of(arguments.run, data=arguments.data)
    found: dict[tuple[str, str], list[list[float]]] = {}
    for trial in ranking.trials:
        experiment = searched_experiment(ranking.run.request, trial.record.recipe)
        store = open_store(experiment.store)
        folds = folds_of(store, CrossValidation(experiment.validation.folds))
        models = FrozenPredictor.load(trial, experiment, folds, torch.device("cpu"))
        test, kept = models.logits(store.test).astype(float), trial.mean_logits
        if kept is None:
            continue
        for label in arguments.labels:
            column = LABELS.index(label)
            truth, there = store.labels[store.train, column], store.labels[store.test, column]
            logits = kept[store.train, column].astype(float)
            scaling = fit_scaling(logits, truth, "platt") or Scaling()
            probs = expit(scaling.slope * logits + scaling.intercept)
            threshold = best_f1(probs, truth)
            for name, each in averages(test[..., column], scaling).items():
                scores = [[*rates(one >= threshold, there), log_loss(there, one)] for one in each]
                figures = [*rates(probs >= threshold, truth), *np.mean(scores, axis=0)]
                found.setdefault((label, name), []).append(figures)
    print("| label | averaged | sensitivity | specificity | on test | specificity | log loss |")
    print("|---|---|---|---|---|---|---|")
    for (label, name), figures in found.items():
        print(f"| {label} | {name} | {' | '.join(f'{value:.3f}' for value in np.mean(figures, axis=0))} |")


if __name__ == "__main__":
    main()
