"""All metrics of a model's predictions, with intervals by patient."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from analysis.evaluation.predictions import Predictions
from analysis.statistics.bootstrap import PatientBootstrap, ratio
from analysis.statistics.influence import Measure
from analysis.statistics.paired import Gains
from analysis.statistics.significance import Scores
from ichtune.labels import LABELS
from ichtune.metric_names import METRICS
from ichtune.metrics import evaluate, no_skill

SCORED: Final = tuple(name for name in METRICS if name != "loss")  # that is the training's own
BY_LABEL: Final = tuple(name for name, metric in METRICS.items() if metric.by_label)
RATES: Final = ("sensitivity", "specificity", "precision", "npv", "f1")
_AT_THRESHOLD: Final = ("f1", "precision", "recall", "subset_accuracy", "hamming_score")


def measured(metric: str, models: Sequence[Predictions]) -> Scores:
    """The scores of several models on the same units, and their certainty, for a metric of `evaluate`.

    Metrics at a threshold are at each model's own thresholds. For one label's, pass `Predictions.only` that label.
    """
    logits = [each.above_threshold if metric in _AT_THRESHOLD else each.logits for each in models]
    scores = Scores.of(Measure(metric, models[0].truth), logits)
    # Contributions are those of logits in half precision, as runs keep them; the scores themselves are exact.
    exact = [evaluate(each.probabilities, each.labels, each.thresholds)[metric] for each in models]
    return replace(scores, values=np.array(exact))


def differences(metric: str, models: Sequence[Predictions]) -> list[dict[str, float]]:
    """Each further model's score minus the first one's on the same units: `before, after, difference` and its ends.

    `low` and `high` are those of its 95 % interval by patient, `all_low` and `all_high` those that hold for all
    models at once.
    """
    scores = measured(metric, models)
    count = len(models) - 1
    order = [*[0] * count, *range(1, count + 1)]  # the first model's score once for each of the others
    gains = Gains(replace(scores, values=scores.values[order], influence=scores.influence[order]))
    ends = np.concatenate([_with_width(gains.intervals), _with_width(gains.simultaneous)], axis=1)
    if scores.maximised:
        ends = np.clip(ends, -1, 1)  # scores between 0 and 1 can't differ by more
    columns = np.column_stack([scores.values[order[:count]], scores.values[1:], gains.values, ends])
    names = ("before", "after", "difference", "low", "high", "all_low", "all_high")
    return [dict(zip(names, row, strict=True)) for row in columns.tolist()]


def overall_scores(units: Sequence[Predictions]) -> pd.DataFrame:
    """One row per unit: `by, count, patients, labels` (how many are defined), and every metric with its ends.

    Averaged metrics are means over the labels with positives and negatives. The ends `<metric>_low` and `_high` are
    those of the 95 % interval by patient.
    """
    rows = []
    for each in units:
        row = _about(each) | {
            "labels": int(evaluate(each.probabilities, each.labels)["defined_labels"]),
        }
        for metric in SCORED:
            row |= with_ends(metric, each)
        rows.append(row)
    return pd.DataFrame(rows)


def no_skill_scores(units: Sequence[Predictions]) -> pd.DataFrame:
    """What no-skill predictors score at 0.5, with the columns of `overall_scores`: their name is in `by`.

    `prevalence` predicts each label's share of positives among these very units.
    """
    rows = []
    for each in units:
        for way, scores in no_skill(each.labels, np.nan_to_num(each.prevalence)).items():
            rows.append({"by": f"{each.unit}, {way}"} | {metric: scores[metric] for metric in SCORED})
    return pd.DataFrame(rows)


def label_scores(units: Sequence[Predictions]) -> pd.DataFrame:
    """One row per unit and known label: `by, label, count, positive, positive_patients`, AUC and average precision."""
    rows = []
    for each in units:
        for column in each.known:
            alone = each.only([LABELS[column]])
            row = _about_label(each, column)
            for metric in BY_LABEL:
                row |= with_ends(metric, alone)
            rows.append(row)
    return pd.DataFrame(rows)


def decisions_at_thresholds(units: Sequence[Predictions]) -> pd.DataFrame:
    """One row per unit and known label: `by, label, count, positive, positive_patients, threshold`, the confusion
    matrix `true_positive, false_positive, false_negative, true_negative`, and the `RATES` with their ends.

    Intervals are 95 % ones by resampling patients.
    """
    rows = []
    for each in units:
        bootstrap = PatientBootstrap(each.patients)
        for column in each.known:
            known = ~np.isnan(each.labels[:, column])
            row = _about_label(each, column) | {"threshold": float(each.thresholds[column])}
            rows.append(row | _decided(each, column, known, bootstrap))
    return pd.DataFrame(rows)


def _decided(
    each: Predictions, column: int, known: np.ndarray, bootstrap: PatientBootstrap
) -> dict[str, float]:
    called, positive = each.called[known, column], each.labels[known, column] > 0.5
    cells = {
        "true_positive": called & positive,
        "false_positive": called & ~positive,
        "false_negative": ~called & positive,
        "true_negative": ~called & ~positive,
    }
    right, false, missed, rejected = (cell.astype(float) for cell in cells.values())
    shares = {
        "sensitivity": (right, right + missed),
        "specificity": (rejected, rejected + false),
        "precision": (right, right + false),
        "npv": (rejected, rejected + missed),
        "f1": (2 * right, 2 * right + false + missed),
    }
    found: dict[str, float] = {name: int(cell.sum()) for name, cell in cells.items()}
    for name in RATES:
        figure = bootstrap.figure(np.stack(shares[name], axis=1), ratio, known)
        found |= dict(zip((name, f"{name}_low", f"{name}_high"), (figure.value, *figure.ends), strict=True))
    return found


def _about(each: Predictions) -> dict[str, object]:
    known = ~np.isnan(each.labels).all(axis=1)
    return {
        "by": each.unit,
        "count": int(known.sum()),
        "patients": len(np.unique(each.patients[known])),
    }


def _about_label(each: Predictions, column: int) -> dict[str, object]:
    truth = each.labels[:, column]
    return {
        "by": each.unit,
        "label": LABELS[column],
        "count": int((~np.isnan(truth)).sum()),
        "positive": int((truth == 1).sum()),
        "positive_patients": len(np.unique(each.patients[truth == 1])),
    }


def with_ends(metric: str, each: Predictions) -> dict[str, float]:
    """A metric of `evaluate`, and the ends of its 95 % interval by patient, as `<metric>_low` and `<metric>_high`."""
    scores = measured(metric, [each])
    found = (*scores.values, *_with_width(scores.intervals())[0])
    return dict(zip((metric, f"{metric}_low", f"{metric}_high"), map(float, found), strict=True))


def _with_width(ends: np.ndarray) -> np.ndarray:
    """Return pairs of ends `[..., 2]`, NaN where both are the same: that no patient differs proves nothing."""
    same = np.isclose(
        ends[..., :1], ends[..., 1:], rtol=1e-9, atol=1e-15
    )  # what remains of no width is rounding
    return np.where(same, np.nan, ends)
