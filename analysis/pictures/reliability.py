"""Whether predicted probabilities are calibrated: reliability diagrams of out-of-fold predictions."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from scipy.special import expit

from analysis.pictures.style import BLACK, BLUE, SKY, WIDTH, paper
from analysis.pictures.words import number
from analysis.statistics.reliability import BINS, reliability_curve
from ichtune.labels import LABELS

ROOM = 1.08
MOST = 0.99
"""The share of slices that a panel covers at least."""


@paper()
def reliability(logits: np.ndarray, labels: np.ndarray, name: str) -> Figure:
    """A panel per label, as wide as its probabilities reach, with their histogram below.

    Logits and labels are `[N, 6]`; slices without a prediction or with an unknown label are left out.
    """
    figure = Figure(figsize=(WIDTH, 5.6))
    grid = figure.subplots(5, 3, height_ratios=(3, 1, 0.02, 3, 1), squeeze=False)
    for axes in grid[2]:
        axes.set_visible(False)
    for index, label in enumerate(LABELS):
        row, column = 3 * (index // 3), index % 3
        known = np.isfinite(logits[:, index]) & np.isfinite(labels[:, index])
        probs, truth = expit(logits[known, index].astype(np.float64)), labels[known, index]
        _draw_label(grid[row, column], grid[row + 1, column], label, probs, truth)
    for row in (0, 3):
        grid[row, 0].set_ylabel("share of positives")
        grid[row + 1, 0].set_ylabel("slices")
    for axes in grid[4]:
        axes.set_xlabel("predicted probability")
    figure.suptitle(
        f"Reliability of {name}, out of fold\n"
        f"{BINS} bins of equally many slices, with the expected calibration error (ECE);\n"
        "below, the number of slices (the last bar includes those beyond it)",
        x=0.01,
        ha="left",
    )
    return figure


def _draw_label(axes: Axes, below: Axes, label: str, probs: np.ndarray, truth: np.ndarray) -> None:
    if not len(probs):
        axes.set_title(f"{label}\nno predictions", fontsize=8)
        return
    found = reliability_curve(probs, truth)
    axes.set_title(
        f"{label}, ECE {number(found.error)}\n{int(truth.sum()):,} of {len(truth):,} positive", fontsize=8
    )
    across = max(found.predicted.max() * ROOM, np.quantile(probs, MOST))
    axes.plot([0, 1], [0, 1], color="0.4", lw=1, linestyle=(0, (4, 3)), zorder=1.5)
    axes.plot(found.predicted, found.observed, "o-", color=BLUE, ms=4, lw=1.2)
    axes.set(xlim=(0, across), ylim=(0, max(across, found.observed.max() * ROOM)))
    axes.tick_params(labelbottom=False)
    below.hist(
        np.minimum(probs, across),
        bins=np.linspace(0, across, 31).tolist(),
        color=SKY,
        edgecolor=BLACK,
        lw=0.3,
    )
    below.set(xlim=(0, across), yscale="log")
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    below.yaxis.set_minor_locator(NullLocator())
    for axis in (axes.xaxis, axes.yaxis, below.xaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
