"""Learning curves: the best trials on top of all others, with the rungs at which ASHA stops trials."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.pictures.metric import Metric
from analysis.pictures.style import BLACK, DENSE, LINES, WIDTH, paper
from analysis.pictures.words import trial_name

if TYPE_CHECKING:
    from analysis.ranking.trial import RankedTrial


def rungs(*, grace: int, reduction: float, epochs: int) -> list[int]:
    """The epochs at which ASHA compares trials: grace times the powers of the reduction factor, rounded up.

    As in Ray's AsyncHyperBandScheduler; the last epoch ends every trial, so it isn't a rung.
    """
    steps = max(0, math.ceil(math.log(epochs / min(grace, epochs), reduction))) + 1
    found = {math.ceil(min(grace, epochs) * reduction**step - 1e-9) for step in range(steps)}
    return sorted(epoch for epoch in found if epoch < epochs)


@paper()
def curves(trials: Sequence["RankedTrial"], *, grace: int, reduction: float) -> Figure:
    """The score at each epoch; a ring marks the epoch that was kept for each of the best trials."""
    metric = Metric.of(trials)
    top = [trial for trial in trials if np.isfinite(metric.score(trial))][: len(LINES)]
    field = [trial for trial in trials if trial not in top]
    epochs = max(trial.record.recipe.training.epochs for trial in trials)
    figure = Figure(figsize=(WIDTH, 4.2))
    axes = figure.subplots()
    metric.scale(axes.yaxis, np.concatenate([metric.values(trial) for trial in trials]))
    for rank, trial in enumerate(top):
        _draw_curve(axes, metric, trial, rank)
    _draw_field(axes, metric, field)
    _draw_rungs(axes, rungs(grace=grace, reduction=reduction, epochs=epochs))
    axes.set_xlim(0.8 if epochs > 1 else 0.5, epochs + (0.2 if epochs > 1 else 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel=f"{metric.words}, mean over folds", title="Learning curves")
    _legend(figure, axes, len(top))
    return figure


def _legend(figure: Figure, axes: Axes, top: int) -> None:
    """The best trials in one column, everything else in the other."""
    handles, labels = axes.get_legend_handles_labels()
    gap = max(2 * top - len(labels), 0)  # empty entries to fill up the second column
    figure.legend(
        [*handles, *[Line2D([], [], linestyle="none")] * gap],
        [*labels, *[""] * gap],
        loc="outside lower left",
        ncols=2,
        handlelength=4,
    )


def _draw_field(axes: Axes, metric: Metric, trials: Sequence["RankedTrial"]) -> None:
    """Draw all other trials in grey, with a dot at the end, which also shows trials of a single epoch."""
    if not trials:
        return
    dense = len(trials) > DENSE
    lines = [_points(metric, trial) for trial in trials]
    lines = [line for line in lines if len(line)]
    alpha = min(0.7, 60 / len(trials))
    axes.add_collection(
        LineCollection(lines, colors="0.65", linewidths=0.6, alpha=alpha, rasterized=dense, zorder=1)
    )
    ends = np.array([line[-1] for line in lines]).reshape(-1, 2)
    axes.scatter(
        ends[:, 0],
        ends[:, 1],
        s=5,
        color="0.55",
        linewidths=0,
        alpha=alpha**0.5,
        rasterized=dense,
        zorder=1.1,
    )
    axes.plot([], [], color="0.6", lw=0.8, marker=".", ms=4, label=f"other trials ({len(trials)})")


def _draw_curve(axes: Axes, metric: Metric, trial: "RankedTrial", rank: int) -> None:
    colour, dashes = LINES[rank]
    points = _points(metric, trial)
    best = trial.best_epoch.epoch
    axes.plot(
        points[:, 0],
        points[:, 1],
        color=colour,
        linestyle=dashes,
        lw=1.6,
        zorder=4 - rank / 10,
        label=f"{trial_name(trial, 60)}: {trial.score:.4f}",
    )
    axes.plot(best, trial.score, "o", ms=5.5, mfc="white", mec=colour, mew=1.4, zorder=4.1 - rank / 10)


def _draw_rungs(axes: Axes, epochs: Sequence[int]) -> None:
    for index, epoch in enumerate(epochs):
        label = f"ASHA rungs: epochs {', '.join(map(str, epochs))}" if index == 0 else None
        axes.axvline(epoch, color=BLACK, lw=0.9, linestyle=(0, (1, 2)), zorder=2, label=label)


def _points(metric: Metric, trial: "RankedTrial") -> np.ndarray:
    """Epochs and defined scores, `[E, 2]`."""
    points = np.column_stack([[epoch.epoch for epoch in trial.record.epochs], metric.values(trial)])
    return points[np.isfinite(points[:, 1])]
