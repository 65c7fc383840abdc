"""The slices that a model is most wrong about, as pictures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.pictures.style import VERMILLION, WIDTH, paper
from analysis.pictures.words import number
from ichtune.windows import WINDOWS, apply_window

EACH = 3
"""Slices of each kind that a label's row shows."""


class Error(NamedTuple):
    """A slice that a label is wrong about: its Hounsfield units `[S, S]` and the label's probability."""

    hu: np.ndarray
    probability: float


@paper()
def worst_slices(missed: Mapping[str, Sequence[Error]], false: Mapping[str, Sequence[Error]]) -> Figure:
    """A row per label: positives with the lowest probability, and negatives with the highest, in the brain window."""
    figure = Figure(figsize=(WIDTH, 1.15 * len(missed) + 0.3))
    grid = figure.subplots(len(missed), 2 * EACH, squeeze=False)
    for row, label in zip(grid, missed, strict=True):
        for axes in row:
            axes.set_axis_off()
        row[0].text(-0.12, 0.5, label, rotation=90, ha="right", va="center", transform=row[0].transAxes)
        for axes, errors in ((row[:EACH], missed.get(label)), (row[EACH:], false.get(label))):
            if not errors:
                axes[1].text(0.5, 0.5, "no such slice", ha="center", va="center", color="0.4")
            for place, error in zip(axes, errors or (), strict=False):
                _show(place, error)
    grid[0, 0].set_title("present, lowest probability", fontsize=8)
    grid[0, EACH].set_title("absent, highest probability", fontsize=8)
    return figure


def _show(axes: Axes, error: Error) -> None:
    axes.imshow(apply_window(error.hu, WINDOWS["brain"]), cmap="gray", vmin=0, vmax=1)
    axes.text(
        0.03,
        0.97,
        number(error.probability),
        color="white",
        fontsize=8,
        ha="left",
        va="top",
        transform=axes.transAxes,
        bbox={"facecolor": VERMILLION, "edgecolor": "none", "pad": 1.5},
    )
