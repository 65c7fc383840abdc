"""The pictures of an evaluation."""

from pathlib import Path

import pandas as pd

from analysis.evaluation.evaluate import Evaluation
from analysis.evaluation.worst import FALSE, MISSED, errors_of
from analysis.pictures.reliability import calibration
from analysis.pictures.roc import Scored, precision_recall, roc
from analysis.pictures.style import save
from analysis.pictures.worst_slices import worst_slices


def draw(made: Evaluation, worst: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw all pictures, each as PNG and SVG; returns the PNG files. `worst` has the slices with the largest errors."""
    first = made.units[0]
    pictures = {
        "roc": roc(_scored(made, "auc")),
        "precision_recall": precision_recall(_scored(made, "average_precision")),
        "calibration": calibration(
            first.trained, first.logits, first.labels, how=f"by {first.unit}", units=f"{first.unit}s"
        ),
    }
    if len(worst):
        pictures["worst"] = worst_slices(errors_of(made, worst, MISSED), errors_of(made, worst, FALSE))
    return [save(figure, folder, name)[0] for name, figure in pictures.items()]


def _scored(made: Evaluation, metric: str) -> dict[str, Scored]:
    found = {}
    for each in made.units:
        rows = made.by_label[made.by_label["by"] == each.unit]
        summary = dict(zip(rows["label"], rows[metric], strict=True))
        found[each.unit] = Scored(each.probabilities, each.labels, summary, each.called)
    return found
