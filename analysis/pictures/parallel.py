"""Every trial as one line across all hyperparameters, down to its score.

The axes are horizontal, one below the other, so that names and categories can be read without turning the head.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from analysis.pictures.knobs import Knob
from analysis.pictures.metric import Metric
from analysis.pictures.style import WIDTH, paper
from analysis.pictures.words import number, strips, wrapped

if TYPE_CHECKING:
    from analysis.ranking.trial import RankedTrial

TOP = 5
"""How many of the best trials are drawn bold, on top of the others."""
MOST = 60
"""More lines would be indistinguishable; of more trials, this many are drawn, evenly spaced over the ranks."""
ROW = 0.52
"""Inches between axes."""
LEFT_OUT = -0.09
"""Where the lines of trials cross the axes of branches that they did not take."""
STEPS = 8
CROWD = 30
SPREAD = 0.22
"""How far lines spread at a category, as a share of its strip; fewer trials spread less."""


@paper()
def parallel(trials: Sequence["RankedTrial"], knobs: Sequence[Knob]) -> Figure:
    """A line for each trial with a score: the better, the darker."""
    metric = Metric.of(trials)
    scored = _evenly([trial for trial in trials if np.isfinite(metric.score(trial))])
    scores = metric.scores(scored)
    goodness = metric.goodness(scores)
    places = np.column_stack([_places(knob, scored, seed) for seed, knob in enumerate(knobs)] + [goodness])
    figure = Figure(figsize=(WIDTH, ROW * (len(knobs) + 1) + 0.75))
    axes = figure.subplots()
    axes.set_axis_off()
    figure.suptitle(_title(len(scored), len(trials)), x=0.01, ha="left")
    _draw_lines(axes, places, goodness)
    for row, knob in enumerate(knobs):
        _draw_axis(axes, row, knob.name, _ticks(knob))
        if np.isnan(knob.places(scored)).any():
            _draw_left_out(axes, row)
    _draw_scores(axes, len(knobs), metric, scores)
    axes.set_xlim(-0.13, 1.03)
    axes.set_ylim(len(knobs) + 0.62, -0.25)
    return figure


def _title(drawn: int, trials: int) -> str:
    best = f", the best {TOP} bold" if drawn > TOP else ""
    chosen = ", evenly over the ranks" if drawn == MOST < trials else ""
    return f"{drawn} of {trials} trials{chosen}: the better the darker{best}"


def _evenly(trials: list["RankedTrial"]) -> list["RankedTrial"]:
    """All trials or, if there are too many to draw, the best ones and others evenly spaced over the ranks."""
    if len(trials) <= MOST:
        return trials
    rest = np.linspace(TOP, len(trials) - 1, MOST - TOP).round().astype(int)
    return [*trials[:TOP], *(trials[place] for place in rest)]


def _places(knob: Knob, trials: Sequence["RankedTrial"], seed: int) -> np.ndarray:
    """Where the trials' lines cross a hyperparameter's axis, from 0 to 1."""
    places = knob.places(trials)
    shift = np.random.default_rng(seed).uniform(-1, 1, len(places)) * min(len(places) / CROWD, 1)
    spread = (places + 0.5 + SPREAD * shift) / max(len(knob.categories), 1)
    crossing = spread if knob.categories else _share(knob, places)
    return np.where(np.isnan(crossing), LEFT_OUT + 0.012 * shift, crossing)


def _share(knob: Knob, values: np.ndarray) -> np.ndarray:
    """Numbers as positions along their axis, from 0 to 1."""
    if knob.log:
        return np.log(values / knob.low) / np.log(knob.high / knob.low)
    return (values - knob.low) / (knob.high - knob.low)


def _ticks(knob: Knob) -> list[tuple[float, str]]:
    """Positions and texts: all categories, or round numbers within the range."""
    if knob.categories:
        count = len(knob.categories)
        return [
            ((index + 0.5) / count, label)
            for index, label in enumerate(strips(knob.labels, (WIDTH - 2.4) / count))
        ]
    values = _within(_round_numbers(knob), knob.low, knob.high)
    return list(zip(_share(knob, values).tolist(), map(number, values), strict=True))


def _within(numbers: Sequence[float], low: float, high: float) -> np.ndarray:
    """The numbers within the range, with tolerance for rounding."""
    values, slack = np.array(numbers), 1e-9 * (high - low)
    return values[(values >= low - slack) & (values <= high + slack)]


def _round_numbers(knob: Knob) -> Sequence[float]:
    if not knob.log:
        return MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(knob.low, knob.high)
    subs = (1,) if knob.high >= 100 * knob.low else (1, 2, 5)
    return LogLocator(subs=subs, numticks=6).tick_values(knob.low, knob.high)


def _colours() -> ListedColormap:
    """Colours from pale to dark."""
    return ListedColormap(matplotlib.colormaps["viridis_r"](np.linspace(0.05, 1, STEPS)))


def _paler(colours: np.ndarray) -> np.ndarray:
    """Colours `[N, 4]`, halfway to white."""
    return 0.5 + 0.5 * colours


def _draw_lines(axes: Axes, places: np.ndarray, goodness: np.ndarray) -> None:
    order = np.argsort(goodness, kind="stable")
    best = np.isin(order, order[-TOP:])
    colours = _colours()(goodness)
    colours[order[~best]] = _paler(colours[order[~best]])
    for chosen, width in ((order[~best], 0.7), (order[best], 1.8)):
        lines = [np.column_stack([row, np.arange(len(row))]) for row in places[chosen]]
        axes.add_collection(
            LineCollection(
                lines,
                colors=colours[chosen],
                linewidths=width,
                capstyle="round",
                joinstyle="round",
            )
        )


def _draw_axis(axes: Axes, row: int, name: str, ticks: Sequence[tuple[float, str]]) -> None:
    """Draw an axis with its name to the left and its labels below, on white so that lines don't cross them."""
    axes.plot([0, 1], [row, row], color="0.2", lw=1, zorder=3)
    axes.text(-0.16, row, wrapped(name, 28), ha="right", va="center")
    for place, text in ticks:
        axes.plot([place, place], [row - 0.05, row + 0.05], color="0.2", lw=1, zorder=3)
        axes.text(
            place,
            row + 0.13,
            text,
            ha="center",
            va="top",
            zorder=4,
            linespacing=1.0,
            bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
        )


def _draw_left_out(axes: Axes, row: int) -> None:
    axes.text(
        LEFT_OUT,
        row,
        "–",
        ha="center",
        va="center",
        zorder=4,
        bbox={"boxstyle": "circle,pad=0.12", "fc": "white", "ec": "0.4", "lw": 0.6},
    )


def _draw_scores(axes: Axes, row: int, metric: Metric, scores: np.ndarray) -> None:
    """Draw the axis of scores as a strip in the lines' colours, the best to the right."""
    low, high = scores.min(), scores.max()
    if low == high:
        _draw_axis(axes, row, metric.words, [(1.0, f"{high:.4f}")])
        return
    wide = metric.is_wide(scores)
    ends = (low, high) if metric.maximised else (high, low)
    knob = Knob(metric.words, (), *map(float, ends), log=wide)
    locate = LogLocator(numticks=6) if wide else MaxNLocator(7, steps=[1, 2, 5, 10])
    inner = _within(locate.tick_values(low, high), low, high)
    _draw_axis(axes, row, metric.words, [(float(_share(knob, np.array(v))), number(v)) for v in inner])
    strip = np.linspace(0, 1, STEPS)[None]
    axes.imshow(
        strip,
        cmap=_colours(),
        extent=(0, 1, row + 0.07, row - 0.07),
        aspect="auto",
        zorder=3.5,
        interpolation="nearest",
    )
