"""An explained model's pictures and table, written to a folder."""

import shutil
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.explaining.choose import Outcome
from analysis.explaining.explained import Explained
from analysis.pictures.activation_grid import activation_grid, activation_map
from analysis.pictures.style import DPI
from ichtune.files import replacing

METHOD_NAMES = {"hirescam": "HiResCAM", "gradcam": "Grad-CAM"}


def write_explained(explained: Explained, folder: Path) -> list[Path]:
    """Write `LABEL.png` (the grid), `LABEL.csv` (its table) and `LABEL/` (an example a file); returns these paths."""
    label, thresholds = explained.options.label, explained.model.thresholds
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        f"{outcome.capitalize()} ({outcome_words(outcome)})": [
            each for each in explained.examples if each.outcome is outcome
        ]
        for outcome in Outcome
    }
    files = [folder / f"{label}.png", folder / f"{label}.csv", folder / label]
    save_png(activation_grid(columns, label, thresholds, title_of(explained)), files[0])
    with replacing(files[1]) as beside:
        explained.table.to_csv(beside, index=False)
    shutil.rmtree(files[2], ignore_errors=True)  # slices of an earlier choice
    files[2].mkdir()
    for number, example in enumerate(explained.examples, 1):
        name = f"{number:02}-{example.outcome.replace(' ', '-')}-row{example.row}.png"
        title = f"{explained.name}, {label}, {example.outcome}: slice {example.slice_id}"
        save_png(activation_map(example, label, thresholds, title), files[2] / name)
    return files


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
