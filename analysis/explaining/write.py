"""An explained model's pictures and table, written to a folder."""

import shutil
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.explaining.choose import Outcome, spread
from analysis.explaining.classes import class_accuracies
from analysis.explaining.explained import Explained
from analysis.pictures.activation_grid import activation_grid, activation_map
from analysis.pictures.class_columns import Column, class_columns
from analysis.pictures.style import DPI
from ichtune.files import replacing
from ichtune.metrics import evaluate

CLASSES = "classes.png"
METHOD_NAMES = {"hirescam": "HiResCAM", "gradcam": "Grad-CAM"}


def write_explained(explained: Explained, folder: Path) -> list[Path]:
    """Write `evidence-LABEL.png` (the grid), its table as csv, `evidence-LABEL/` (an example a file), `classes.png`.

    Returns these paths.
    """
    label, thresholds = explained.options.label, explained.model.thresholds
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        f"{outcome.capitalize()} ({outcome_words(outcome)})": [
            each for each in explained.examples if each.outcome is outcome
        ]
        for outcome in Outcome
    }
    stem = folder / f"evidence-{label}"
    files = [stem.with_suffix(".png"), stem.with_suffix(".csv"), stem, folder / CLASSES]
    save_png(activation_grid(columns, label, thresholds, title_of(explained)), files[0])
    with replacing(files[1]) as beside:
        explained.table.to_csv(beside, index=False)
    shutil.rmtree(files[2], ignore_errors=True)  # slices of an earlier choice
    files[2].mkdir()
    for number, example in enumerate(explained.examples, 1):
        name = f"{number:02}-{example.outcome.replace(' ', '-')}-row{example.row}.png"
        title = f"{explained.name}, {label}, {example.outcome}: slice {example.slice_id}"
        save_png(activation_map(example, label, thresholds, title), files[2] / name)
    save_png(classes_figure(explained), files[3])
    return files


def classes_figure(explained: Explained, *, most: int = 3) -> Figure:
    """Up to `most` slices of each class, of as many patients as possible; its accuracy and that of all classes."""
    store, rows = explained.store, explained.part.rows
    truth, patients = store.labels[rows], store.patients[rows]
    present = explained.probabilities >= explained.model.thresholds
    columns = []
    for of in class_accuracies(truth, present):
        # At random, so that the examples are neither the most nor the least conspicuous ones.
        order = np.random.default_rng([0, len(columns)]).random(len(rows))
        shown = spread(of.places, order, patients)[:most]
        right = dict(zip(of.places.tolist(), of.right.tolist(), strict=True))
        examples = [(np.asarray(store.hu[rows[place]]), right[place]) for place in shown.tolist()]
        columns.append(Column(of.name, examples, of.share, len(of.places)))
    title = (
        f"{explained.name}: {len(rows):,} slices ({explained.part.words}). Bars: the share of a class that is "
        "recognised, and the share of all slices with all labels right."
    )
    overall = evaluate(explained.probabilities, truth, explained.model.thresholds)["subset_accuracy"]
    return class_columns(columns, overall, title)


def outcome_words(outcome: Outcome) -> str:
    """What an outcome means, in words."""
    return {
        Outcome.RIGHT: "present, and found",
        Outcome.FALSE_ALARM: "absent, but found",
        Outcome.MISSED: "present, but below the threshold",
    }[outcome]


def title_of(explained: Explained) -> str:
    """The model, the label and the method, the slices they were chosen from, and the mean share of heat outside."""
    options, layers = explained.options, ", ".join(dict.fromkeys(explained.layers))
    outside = explained.mean_outside
    heat = "" if np.isnan(outside) else f"; {outside:.1%} of the heat outside the head on average"
    return (
        f"{explained.name}: {METHOD_NAMES[options.method]} of “{options.label}” at layer {layers}. Chosen from "
        f"{len(explained.part.rows):,} slices: {explained.part.words}{heat}"
    )


def save_png(figure: Figure, file: Path) -> None:
    """Write a figure in full colour: activation maps have more colours than a palette holds."""
    with replacing(file) as beside:
        figure.savefig(beside, format="png", dpi=DPI, metadata={"Software": None})
