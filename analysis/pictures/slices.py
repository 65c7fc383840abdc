"""The score against each hyperparameter in turn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.pictures.end_looks import by_end
from analysis.pictures.knobs import Knob
from analysis.pictures.metric import Metric, logarithmic
from analysis.pictures.style import BLACK, DENSE, WIDTH, paper
from analysis.pictures.words import strips, wrapped

if TYPE_CHECKING:
    from analysis.ranking.trial import RankedTrial

COLUMNS, HEIGHT = 3, 1.75
"""Panels per row, and the height of a row in inches."""
SPREAD = 0.27
"""How far a category's trials are spread from the middle of its strip."""


@paper()
def slices(
    trials: Sequence["RankedTrial"], knobs: Sequence[Knob], effects: pd.DataFrame | None = None
) -> Figure:
    """A panel per hyperparameter, with the trials that have it and a score.

    `effects` has the columns `parameter, value, effect, low, high`: the score that a value is associated with at an
    epoch common to all trials, averaged over everything else. Categories without an effect show the mean of their
    trials.
    """
    metric = Metric.of(trials)
    scored = [trial for trial in trials if np.isfinite(metric.score(trial))]
    columns = min(COLUMNS, len(knobs))
    rows = -(-len(knobs) // columns)
    figure = Figure(figsize=(WIDTH, HEIGHT * rows + 0.6))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    metric.scale(grid[0, 0].yaxis, metric.scores(scored))
    for axes, knob in zip(grid.flat, knobs, strict=False):
        effect = None if effects is None else effects[effects["parameter"] == knob.name]
        _draw_trials(axes, metric, knob, scored)
        _scale(axes, knob, columns)
        if effect is not None and len(effect):
            _draw_effect(axes, knob, effect)
        elif knob.categories:
            _draw_means(axes, knob, knob.places(scored), metric.scores(scored))
    for axes in grid.flat[len(knobs) :]:
        axes.set_visible(False)
    figure.supylabel(f"{metric.words}, mean over folds", fontsize=8)
    looks = {
        look.words: (Line2D([], [], color=look.colour, marker=look.marker, linestyle="none", ms=4),)
        for look in by_end(scored)
    }
    explained = looks | _explained(knobs, effects)
    figure.legend(
        handles=list(explained.values()),
        labels=list(explained),
        loc="outside lower center",
        ncols=4 if len(explained) <= 4 else 3,
    )
    return figure


def _draw_trials(axes: Axes, metric: Metric, knob: Knob, trials: Sequence["RankedTrial"]) -> None:
    axes.set_title(wrapped(knob.name, 30, 2), fontsize=8)
    spread = np.random.default_rng(0).uniform(-SPREAD, SPREAD, len(trials)) if knob.categories else 0
    places = dict(zip(map(id, trials), knob.places(trials) + spread, strict=True))
    dense = len(trials) > DENSE
    for look, members in by_end(trials).items():
        points = axes.scatter(
            [places[id(trial)] for trial in members],
            metric.scores(members),
            s=4 if dense else 12,
            alpha=0.7 if dense else 0.8,
            color=look.colour,
            marker=look.marker,
            linewidths=0.8 if look.marker == "x" else 0,
            rasterized=dense,
        )
        points.set_in_layout(False)  # they are within the axes, and slow to measure


def _scale(axes: Axes, knob: Knob, columns: int) -> None:
    """Scale the hyperparameter's axis to its range."""
    if knob.categories:
        inches = (WIDTH - 1) / columns / len(knob.categories)
        axes.set_xticks(range(len(knob.categories)), strips(knob.labels, inches))
        axes.set_xlim(-0.5, len(knob.categories) - 0.5)
        axes.grid(visible=False, axis="x")
        axes.tick_params(axis="x", length=0)
        return
    if knob.log:
        logarithmic(axes.xaxis, knob.low, knob.high)
        margin = (knob.high / knob.low) ** 0.04
        axes.set_xlim(knob.low / margin, knob.high * margin)
    else:
        margin = 0.04 * (knob.high - knob.low)
        axes.set_xlim(knob.low - margin, knob.high + margin)


def _draw_means(axes: Axes, knob: Knob, places: np.ndarray, scores: np.ndarray) -> None:
    for place in range(len(knob.categories)):
        if (places == place).any():
            mean = scores[places == place].mean()
            axes.hlines(mean, place - SPREAD, place + SPREAD, color=BLACK, lw=1.4, zorder=3)


def _draw_effect(axes: Axes, knob: Knob, effect: pd.DataFrame) -> None:
    """Draw a line with its band, or for categories a marker with its error bar."""
    places = np.array([knob.place(value) for value in effect["value"]])
    order = np.argsort(places)
    place = places[order]
    middle, low, high = (effect[name].to_numpy(float)[order] for name in ("effect", "low", "high"))
    if knob.categories:
        bars = np.stack([middle - low, high - middle]).clip(min=0)
        axes.errorbar(
            place, middle, bars, fmt="D", ms=4, mfc="white", color=BLACK, lw=1, capsize=2.5, zorder=4
        )
        return
    axes.fill_between(place, low, high, color=BLACK, alpha=0.18, lw=0, zorder=2.5)
    axes.plot(place, middle, color=BLACK, lw=1.4, zorder=3)


def _explained(knobs: Sequence[Knob], effects: pd.DataFrame | None) -> dict[str, tuple[Artist, ...]]:
    """The legend entries of the lines and markers that are drawn."""
    found: dict[str, tuple[Artist, ...]] = {}
    shown = set() if effects is None else set(effects["parameter"]) & {knob.name for knob in knobs}
    if any(knob.categories and knob.name not in shown for knob in knobs):
        found["mean"] = (Line2D([], [], color=BLACK, lw=1.4),)
    if shown:
        mark = Line2D([], [], color=BLACK, lw=1.4, marker="D", mfc="white", ms=4)
        found["effect at a common epoch, with its interval"] = (Patch(facecolor="0.82"), mark)
    return found
