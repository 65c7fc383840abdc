"""The course of a search: every score in order, and the best so far."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.pictures.end_looks import Look, by_end
from analysis.pictures.metric import Metric
from analysis.pictures.style import BLACK, DENSE, WIDTH, paper
from analysis.pictures.words import CHARACTER, shortened, trial_name

if TYPE_CHECKING:
    from analysis.ranking.trial import RankedTrial

EDGE = 0.035
"""Where the markers of trials without a score are, as a share of the axis height."""
MOST_NAMED = 12


@paper()
def progress(trials: Sequence["RankedTrial"]) -> Figure:
    """Scores by trial number with the best so far, how each trial ended, and the named points."""
    metric = Metric.of(trials)
    ordered = sorted(trials, key=lambda trial: trial.record.number)
    numbers = np.array([trial.record.number for trial in ordered])
    scores = metric.scores(ordered)
    figure = Figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    metric.scale(axes.yaxis, scores)
    for look, members in by_end(ordered).items():
        _draw_trials(axes, metric, look, members, dense=len(trials) > DENSE)
    axes.step(
        numbers,
        metric.best_so_far(scores),
        where="post",
        color=BLACK,
        lw=1.4,
        label="best so far",
        zorder=1.8,
    )
    axes.margins(y=0.12)
    margin = max(0.02 * (numbers[-1] - numbers[0]), 0.5)
    axes.set_xlim(numbers[0] - margin, numbers[-1] + margin)
    if np.isnan(scores).all():
        axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set(
        xlabel="trial (those at the edge have no score)" if np.isnan(scores).any() else "trial",
        ylabel=f"{metric.words}, mean over folds",
        title=_title(trials, metric),
    )
    _name_points(axes, metric, [trial for trial in ordered if trial.record.point][:MOST_NAMED])
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def _title(trials: Sequence["RankedTrial"], metric: Metric) -> str:
    count = f"{len(trials)} trials" if len(trials) > 1 else "One trial"
    best = trials[0]
    if np.isnan(metric.score(best)):
        return f"{count}, none with a score"
    return f"{count}; the best: {trial_name(best)} with {best.score:.4f}"


def _draw_trials(
    axes: Axes, metric: Metric, look: Look, trials: Sequence["RankedTrial"], *, dense: bool
) -> None:
    """Draw markers at the scores, and at the worse edge for trials without one."""
    numbers, scores = np.array([trial.record.number for trial in trials]), metric.scores(trials)
    known = np.isfinite(scores)
    label = f"{look.words} ({len(trials)})"
    size, alpha = (9, 0.7) if dense else (20, 0.9)
    style: dict[str, Any] = {
        "color": look.colour,
        "marker": look.marker,
        "zorder": 2.2,
        "linewidths": 1 if look.marker == "x" else 0,
    }
    axes.scatter(numbers[known], scores[known], s=size, alpha=alpha, rasterized=dense, **style)
    axes.scatter(
        numbers[~known],
        np.full(int((~known).sum()), EDGE if metric.maximised else 1 - EDGE),
        s=20,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        **style,
    )
    axes.scatter([], [], s=20, label=label, **style)


def _name_points(axes: Axes, metric: Metric, points: Sequence["RankedTrial"]) -> None:
    """Write the names in a column left of all trials, each with a line to its point, so that they cover nothing."""
    if not points:
        return
    names = [shortened(trial.record.point or "", 24) for trial in points]
    first, last = axes.get_xlim()
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= last])
    room = (max(map(len, names)) * CHARACTER + 0.25) / (WIDTH - 0.7)
    axes.set_xlim(last - (last - first) / (1 - room), last)
    low, high = axes.get_ylim()
    edge = low if metric.maximised else high
    axes.scatter(
        [trial.record.number for trial in points],
        metric.scores(points),
        s=45,
        facecolors="none",
        edgecolors=BLACK,
        linewidths=0.8,
        zorder=3,
    )
    heights = [edge if np.isnan(score) else score for score in metric.scores(points)]
    for place, trial, name, height in zip(
        _apart(_shares(axes, heights)), points, names, heights, strict=True
    ):
        axes.annotate(
            name,
            (trial.record.number, height),
            (room - 0.03, place),
            textcoords="axes fraction",
            ha="right",
            va="center",
            arrowprops={"arrowstyle": "-", "color": "0.3", "lw": 0.7, "shrinkA": 1, "shrinkB": 3},
        )


def _shares(axes: Axes, heights: Sequence[float]) -> np.ndarray:
    """Values on the y axis as shares of its height."""
    points = np.column_stack([np.zeros(len(heights)) + axes.get_xlim()[0], heights])
    return axes.transAxes.inverted().transform(axes.transData.transform(points))[:, 1]


def _apart(places: np.ndarray, gap: float = 0.062) -> np.ndarray:
    """The places moved just far enough apart for lines of text, and kept within 0 to 1."""
    order = np.argsort(places, kind="stable")
    moved = places[order].clip(0.03, 0.97)
    for index in range(1, len(moved)):
        moved[index] = max(moved[index], moved[index - 1] + gap)
    moved[-1] = min(moved[-1], 0.97)
    for index in range(len(moved) - 2, -1, -1):
        moved[index] = min(moved[index], moved[index + 1] - gap)
    apart = np.empty_like(moved)
    apart[order] = moved
    return apart
