"""A column of example slices for each class, above bars of the accuracy in the class and over all classes."""

import textwrap
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from analysis.pictures.style import VERMILLION, paper
from ichtune.windows import WINDOWS, apply_window

# From vermillion over yellow to bluish green (Okabe and Ito): red to green that colour-blind readers can tell apart.
RED_TO_GREEN: Final = LinearSegmentedColormap.from_list("accuracy", (VERMILLION, "#F0E442", "#009E73"))


class Column(NamedTuple):
    """A class: example slices in HU with whether each is recognised, its accuracy, and its number of slices."""

    name: str
    examples: Sequence[tuple[np.ndarray, bool]]
    accuracy: float
    slices: int


@paper()
def class_columns(columns: Sequence[Column], all_classes: float, title: str) -> Figure:
    """Examples with a tick or a cross below each class's name, and two bars with numbers, red (0) to green (1)."""
    rows = max((len(column.examples) for column in columns), default=0)
    figure = Figure(figsize=(1.3 * len(columns), 1.3 * rows + 1.75))
    grid = figure.subplots(
        rows + 1, len(columns), squeeze=False, gridspec_kw={"height_ratios": [1.3] * rows + [0.85]}
    )
    figure.suptitle(textwrap.fill(title, 16 * len(columns)), x=0.01, ha="left")
    for place, column in enumerate(columns):
        for axes in grid[:, place]:
            axes.set_axis_off()
        for axes in grid[:-1, place]:
            axes.set_box_aspect(1)  # also where a class has no slice, so that all columns are alike
        grid[0, place].set_title(column.name, loc="center", fontsize=8)
        for axes, (hu, right) in zip(grid[:-1, place], column.examples, strict=False):
            _slice(axes, hu, right=right)
        _bars(grid[-1, place], column, all_classes)
    return figure


def _slice(axes: Axes, hu: np.ndarray, *, right: bool) -> None:
    axes.imshow(apply_window(hu, WINDOWS["brain"]), cmap="gray", vmin=0, vmax=1)
    colour = RED_TO_GREEN(float(right))
    axes.text(
        0.97,
        0.03,
        "✓" if right else "✗",
        transform=axes.transAxes,
        ha="right",
        color=colour,
        weight="bold",
        fontsize=11,
        bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"},
    )


def _bars(axes: Axes, column: Column, all_classes: float) -> None:
    """The class's accuracy, and below it that of all classes; the outline is 1."""
    axes.set_xlim(0, 1)
    axes.set_ylim(2.6, -0.6)
    words = (f"this class, of {column.slices:,}", "all classes")
    for place, (share, name) in enumerate(zip((column.accuracy, all_classes), words, strict=True)):
        top = place * 1.5
        axes.barh(top + 0.45, 1, 0.55, color="white", edgecolor="0.4", lw=0.6)
        if np.isnan(share):
            axes.text(0.5, top + 0.45, "no slice", ha="center", va="center")
        else:
            axes.barh(top + 0.45, share, 0.55, color=RED_TO_GREEN(share), edgecolor="0.2", lw=0.6)
            axes.text(0.5, top + 0.45, f"{share:.0%}", ha="center", va="center", weight="bold")
        axes.text(0, top - 0.05, name, va="center")
