"""A search beside its peer: scikit-learn's logistic regression on the same frozen features and folds.

    python benchmarks/peer.py STORE [--trials 60]

Prints JSON. The peer is a logistic regression per label on standardised features of the view without augmentation, with
balanced class weights. `best_of_c` has the C with the best score on these very folds, so it is a little too good;
`nested` chooses C for each fold by cross-validation within its training patients. The search is one of the preset
`default` in one go; `corrected` is its best score corrected for having been selected, the fair number beside `nested`.
`random_resnet18` is the peer on an untrained network: what the features must exceed.
"""

import argparse
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ichtune import api
from ichtune.bank.build import build
from ichtune.cross_validation import CrossValidation
from ichtune.data.store import SliceStore
from ichtune.metrics import evaluate
from ichtune.recipe import Recipe
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.space import Space
from ichtune.training.experiment import folds_of

STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)  # C, from a strong to a weak penalty
INNER = 3
METRICS = ("auc", "average_precision")


def features(store: SliceStore, backbone: str, weights: str) -> np.ndarray:
    """Return the features `[N, D]` of all slices, by the bank."""
    fixed = {"model.backbone": backbone, "model.weights": weights, "augmentation": "normal"}
    space = Space.load("default").changed(fixed)
    planned = plan(store.path, space, SearchSettings(name="peer", runs=tempfile.gettempdir()))
    build(planned.parts)
    recipe = Recipe.model_validate({"model": {"backbone": backbone, "weights": weights, "size": 224}})
    return planned.experiment.features(recipe).bank.features(np.arange(len(store.labels))).numpy()


def logistic(strength: float) -> Pipeline:
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
    )


def predicted(
    inputs: np.ndarray, labels: np.ndarray, train: np.ndarray, valid: np.ndarray, c: float
) -> np.ndarray:
    """Return probabilities `[n, 6]`; 0.5 for a label that has only one class in training."""
    probs = np.full((len(valid), labels.shape[1]), 0.5)
    for column, truth in enumerate(labels.T > 0.5):
        if 0 < truth[train].sum() < len(train):
            model = logistic(c).fit(inputs[train], truth[train])
            probs[:, column] = model.predict_proba(inputs[valid])[:, 1]
    return probs


def best_inside(store: SliceStore, inputs: np.ndarray, train: np.ndarray) -> float:
    """Return the C that is best in cross-validation by patient within these rows."""
    parts = list(GroupKFold(INNER).split(train, groups=store.patients[train]))

    def score(c: float) -> float:
        rows = [(train[fit], train[held]) for fit, held in parts]
        return float(
            np.mean(
                [
                    evaluate(predicted(inputs, store.labels, fit, held, c), store.labels[held])["auc"]
                    for fit, held in rows
                ]
            )
        )

    return max(STRENGTHS, key=score)


def peer(store: SliceStore, inputs: np.ndarray) -> dict[str, object]:
    folds = folds_of(store, CrossValidation(store.info.folds))

    def mean(strengths: list[float]) -> dict[str, float]:
        scores = [
            evaluate(predicted(inputs, store.labels, fold.train, fold.valid, c), store.labels[fold.valid])
            for fold, c in zip(folds, strengths, strict=True)
        ]
        return {metric: float(np.nanmean([score[metric] for score in scores])) for metric in METRICS}

    by_c = {c: mean([c] * len(folds)) for c in STRENGTHS}
    chosen = [best_inside(store, inputs, fold.train) for fold in folds]
    best = max(STRENGTHS, key=lambda c: by_c[c]["auc"])
    return {"best_of_c": {"c": best, **by_c[best]}, "nested": {"c": chosen, **mean(chosen)}}


def search(store: Path, trials: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as runs:
        results = api.search(store, "default", trials=trials, runs=Path(runs), name="search")
        best = results.best
        return {
            "auc": best.score,
            "average_precision": float(results.table.iloc[0]["average_precision"]),
            "corrected": results.corrected_best,
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--trials", type=int, default=60)
    arguments = parser.parse_args()
    # With the strongest penalties lbfgs stops a little early, which changes nothing in the third digit.
    warnings.filterwarnings("ignore", module="sklearn")
    store = SliceStore.open(arguments.store.absolute())
    figures = {
        "peer": peer(store, features(store, "efficientnet_lite0", "imagenet")),
        "random_resnet18": peer(store, features(store, "resnet18", "random")),
        "search": search(store.path, arguments.trials) if arguments.trials else None,
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
