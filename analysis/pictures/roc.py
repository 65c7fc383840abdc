"""ROC and precision-recall curves of each label."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from analysis.pictures.style import LINES, WIDTH, paper
from ichtune.labels import LABELS


class Scored(NamedTuple):
    """The scores of n units and their labels, `[n, 6]` each (NaN unknown); and the summary of each label's curve."""

    scores: np.ndarray
    labels: np.ndarray
    summary: Mapping[str, float]
    """By label: the AUC, or the average precision."""
    chosen: np.ndarray
    """Which labels count as present at the thresholds, bool `[n, 6]`."""


@paper()
def roc(units: Mapping[str, Scored]) -> Figure:
    """A panel per label with the ROC curve of each kind of unit (by name), and a dot at its threshold."""
    return _draw(units, _roc, "AUC", ("1 - specificity", "sensitivity"))


@paper()
def precision_recall(units: Mapping[str, Scored]) -> Figure:
    """A panel per label with the precision-recall curve of each kind of unit, and a dot at its threshold.

    Dotted lines are the prevalence, the precision without skill.
    """
    return _draw(units, _precision_recall, "AP", ("recall (sensitivity)", "precision"))


_DOT: Final = 4


def _draw(
    units: Mapping[str, Scored],
    curve: Callable[[Axes, np.ndarray, np.ndarray, np.ndarray, str, dict[str, Any]], None],
    short: str,
    axis_names: tuple[str, str],
) -> Figure:
    figure = Figure(figsize=(WIDTH, 5.2))
    grid = figure.subplots(2, 3, sharex=True, sharey=True)
    for column, (label, axes) in enumerate(zip(LABELS, grid.flat, strict=True)):
        axes.set_title(label)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        drawn = False
        for (colour, dashes), (name, scored) in zip(LINES, units.items(), strict=False):
            known = ~np.isnan(scored.labels[:, column])
            truth = scored.labels[known, column] > 0.5
            if truth.any() and not truth.all():
                words = f"{name}: {short} {scored.summary[label]:.2f}"
                look: dict[str, Any] = {"color": colour, "linestyle": dashes, "lw": 1.3}
                curve(axes, scored.scores[known, column], truth, scored.chosen[known, column], words, look)
                drawn = True
        if drawn:
            axes.legend(loc="lower right" if short == "AUC" else "upper right", handlelength=1.8)
        else:
            axes.text(0.5, 0.5, "undefined", ha="center", va="center", color="0.4")
    for axes in grid[1]:
        axes.set_xlabel(axis_names[0])
    for axes in grid[:, 0]:
        axes.set_ylabel(axis_names[1])
    return figure


def _roc(
    axes: Axes, scores: np.ndarray, truth: np.ndarray, chosen: np.ndarray, words: str, look: dict[str, Any]
) -> None:
    false, true, _ = roc_curve(truth, scores)
    axes.plot([0, 1], [0, 1], color="0.6", lw=0.8, linestyle=(0, (1, 2)))
    axes.plot(false, true, label=words, **look)
    axes.plot(chosen[~truth].mean(), chosen[truth].mean(), "o", ms=_DOT, color=look["color"])


def _precision_recall(
    axes: Axes, scores: np.ndarray, truth: np.ndarray, chosen: np.ndarray, words: str, look: dict[str, Any]
) -> None:
    precision, recall, _ = precision_recall_curve(truth, scores)
    axes.axhline(truth.mean(), color=look["color"], lw=0.8, linestyle=(0, (1, 2)))
    # Precision is a step function of recall: between two points it is that of the right one.
    axes.plot(recall, precision, drawstyle="steps-post", label=words, **look)
    if chosen.any():
        axes.plot(chosen[truth].mean(), truth[chosen].mean(), "o", ms=_DOT, color=look["color"])
