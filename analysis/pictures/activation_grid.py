"""Slices with activation maps over them: a grid by outcome, and single ones."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from analysis.pictures.style import paper
from ichtune.labels import LABELS
from ichtune.windows import WINDOWS, apply_window

if TYPE_CHECKING:
    from analysis.explaining.explained import Example

COLOURS: Final = "inferno"
"""Perceptually uniform, and in order in greyscale."""
SIDE, GAP, MARGIN, BAR = 1.55, 0.06, 0.3, 0.85
"""Inches: a slice's side, between the two pictures of an example, around examples, and for the colour bar."""
WORDS, TOP, BOTTOM = 0.98, 0.75, 0.1
"""Inches: below an example, above all, below all."""


@paper()
def activation_grid(
    columns: Mapping[str, Sequence["Example"]], label: str, thresholds: np.ndarray, title: str
) -> Figure:
    """A column of examples for each outcome: the slice, beside it the same with its map, and words below."""
    rows = max((len(examples) for examples in columns.values()), default=0) or 1
    pair = 2 * SIDE + GAP
    width = len(columns) * (pair + MARGIN) + MARGIN + BAR
    height = TOP + BOTTOM + rows * (SIDE + WORDS)
    figure = _figure(width, height)
    lines = textwrap.fill(title, int(width / 0.075))
    figure.text(MARGIN / width, 1 - 0.08 / height, lines, va="top", fontsize=9)
    for column, (name, examples) in enumerate(columns.items()):
        left = MARGIN + column * (pair + MARGIN)
        figure.text(left / width, 1 - (TOP - 0.06) / height, name, va="bottom", weight="bold", fontsize=9)
        if not examples:
            figure.text(left / width, 1 - (TOP + 0.1) / height, "no such slice", va="top", color="0.4")
        for place, example in enumerate(examples):
            _draw(figure, example, label, thresholds, left, TOP + place * (SIDE + WORDS))
    _colour_bar(figure, width - BAR, TOP, min(rows, 2) * SIDE)
    return figure


@paper()
def activation_map(example: "Example", label: str, thresholds: np.ndarray, title: str) -> Figure:
    """One example by itself."""
    width, height = 2 * SIDE + GAP + 2 * MARGIN + BAR, TOP + BOTTOM + SIDE + WORDS
    figure = _figure(width, height)
    figure.text(MARGIN / width, 1 - 0.08 / height, textwrap.fill(title, 58), va="top")
    _draw(figure, example, label, thresholds, MARGIN, TOP)
    _colour_bar(figure, width - BAR, TOP, SIDE)
    return figure


def words_of(example: "Example", label: str, thresholds: np.ndarray) -> list[str]:
    """What is true and predicted, the label's probability, and where the heat is."""
    at = LABELS.index(label)
    truth = _set(example.truth == 1) if np.isfinite(example.truth).any() else "unknown"
    outside = "no heat" if np.isnan(example.outside) else f"heat outside the head {example.outside:.0%}"
    return [
        f"true: {truth}",
        f"predicted: {_set(example.probabilities >= thresholds)}",
        f"{label} {example.probabilities[at]:.3f} (present from {thresholds[at]:.3g})",
        outside if np.isnan(example.on_blood) else f"{outside}, on the blood {example.on_blood:.0%}",
    ]


def _set(present: np.ndarray) -> str:
    return ", ".join(name for name, has in zip(LABELS, present, strict=True) if has) or "none"


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")  # everything is placed in inches
    return figure


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes placed in inches from the left and the top."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def _draw(
    figure: Figure, example: "Example", label: str, thresholds: np.ndarray, left: float, top: float
) -> None:
    grey = apply_window(example.hu, WINDOWS["brain"])
    for place, with_heat in enumerate((False, True)):
        axes = _axes(figure, left + place * (SIDE + GAP), top, SIDE, SIDE)
        axes.set_axis_off()
        axes.imshow(grey, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
        if with_heat:
            _heat(axes, example.heat)
    lines = [
        line
        for text in words_of(example, label, thresholds)
        for line in textwrap.wrap(text, 46, subsequent_indent="    ")
    ]
    across, down = figure.get_size_inches()
    figure.text(left / across, 1 - (top + SIDE + 0.05) / down, "\n".join(lines), va="top", linespacing=1.15)


def _heat(axes: Axes, heat: np.ndarray) -> AxesImage:
    """The map over a slice: the less heat, the more of the slice shows."""
    return axes.imshow(heat, cmap=COLOURS, vmin=0, vmax=1, alpha=np.clip(heat, 0, 0.55))


def _colour_bar(figure: Figure, left: float, top: float, height: float) -> None:
    axes = _axes(figure, left, top, 0.12, height)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), COLOURS), cax=axes, ticks=[0, 0.5, 1])
    bar.set_label("relative evidence")
    axes.grid(visible=False)
