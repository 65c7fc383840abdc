"""Whether predicted probabilities are calibrated: reliability diagrams of out-of-fold predictions."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from scipy.special import expit

from analysis.pictures.style import BLACK, BLUE, ORANGE, SKY, WIDTH, paper
from analysis.pictures.words import number
from analysis.statistics.reliability import BINS, ReliabilityCurve, reliability_curve
from ichtune.labels import LABELS

ROOM = 1.08
MOST = 0.99
"""The share of slices that a panel covers at least."""
NARROWEST = 1e-6
"""The narrowest panel, for probabilities that are all 0."""
_HOW: Final = (
    f"{BINS} bins of equally many {{units}}, with the expected calibration error (ECE);\n"
    "below, the number of {units} (the last bar includes those beyond it)"
)
_BEFORE: Final[dict[str, Any]] = {"color": ORANGE, "marker": "s", "ms": 3.5, "lw": 1.0}
_SHOWN: Final[dict[str, Any]] = {"color": BLUE, "marker": "o", "ms": 4, "lw": 1.2}


@paper()
def reliability(logits: np.ndarray, labels: np.ndarray, name: str) -> Figure:
    """A panel per label, as wide as its probabilities reach, with their histogram below.

    Logits and labels are `[N, 6]`; slices without a prediction or with an unknown label are left out.
    """
    return _draw({"": logits}, labels, f"Reliability of {name}, out of fold")


@paper()
def calibration(
    before: np.ndarray,
    after: np.ndarray,
    labels: np.ndarray,
    *,
    how: str = "cross-fitted",
    units: str = "slices",
) -> Figure:
    """Reliability before and after calibration, from logits `[N, 6]` of the same units; histograms are those after."""
    title = f"Reliability as trained (orange squares) and calibrated (blue dots), {how}"
    return _draw({"as trained": before, "calibrated": after}, labels, title, units)


def _draw(logits: Mapping[str, np.ndarray], labels: np.ndarray, title: str, units: str = "slices") -> Figure:
    figure = Figure(figsize=(WIDTH, 5.6))
    grid = figure.subplots(5, 3, height_ratios=(3, 1, 0.02, 3, 1), squeeze=False)
    for axes in grid[2]:
        axes.set_visible(False)
    for index, label in enumerate(LABELS):
        row, column = 3 * (index // 3), index % 3
        known = np.isfinite(labels[:, index])
        for of in logits.values():
            known = known & np.isfinite(of[:, index])
        probs = [expit(of[known, index].astype(np.float64)) for of in logits.values()]
        _draw_label(grid[row, column], grid[row + 1, column], label, probs, labels[known, index])
    for row in (0, 3):
        grid[row, 0].set_ylabel("share of positives")
        grid[row + 1, 0].set_ylabel(units)
    for axes in grid[4]:
        axes.set_xlabel("predicted probability")
    figure.suptitle(f"{title}\n{_HOW.format(units=units)}", x=0.01, ha="left")
    return figure


def _draw_label(axes: Axes, below: Axes, label: str, probs: list[np.ndarray], truth: np.ndarray) -> None:
    """Draw each curve, the last one on top; the histogram is that of the last."""
    if not len(truth):
        axes.set_title(f"{label}\nno predictions", fontsize=8)
        return
    curves = [reliability_curve(of, truth) for of in probs]
    errors = " → ".join(number(curve.error) for curve in curves)
    after_label = ", " if len(curves) == 1 else "\n"
    counts = f"{int(truth.sum()):,} of {len(truth):,} positive"
    axes.set_title(f"{label}{after_label}ECE {errors}\n{counts}", fontsize=8)
    across = max(_reach(curve, of) for curve, of in zip(curves, probs, strict=True))
    axes.plot([0, 1], [0, 1], color="0.4", lw=1, linestyle=(0, (4, 3)), zorder=1.5)
    for curve, look in zip(curves, (_BEFORE, _SHOWN)[-len(curves) :], strict=True):
        axes.plot(curve.predicted, curve.observed, **look)
    highest = max(curve.observed.max() * ROOM for curve in curves)
    axes.set(xlim=(0, across), ylim=(0, max(across, highest)))
    axes.tick_params(labelbottom=False)
    below.hist(
        np.minimum(probs[-1], across),
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


def _reach(curve: ReliabilityCurve, probs: np.ndarray) -> float:
    return float(max(curve.predicted.max() * ROOM, np.quantile(probs, MOST), NARROWEST))
