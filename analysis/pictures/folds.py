"""How the best trials' scores vary over the folds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.pictures.metric import Metric
from analysis.pictures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, WIDTH, paper
from analysis.pictures.words import trial_name
from ichtune.cross_validation import CrossValidation

if TYPE_CHECKING:
    from analysis.ranking.trial import RankedTrial

MOST = 15
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, "0.5")
MARKERS = "os^Dv<>pPX"


@paper()
def folds(
    trials: Sequence["RankedTrial"],
    intervals: np.ndarray | None = None,
    no_skill: tuple[str, float] | None = None,
    validation: CrossValidation | None = None,
) -> Figure:
    """Each fold's scores, connected from trial to trial, with the mean and its interval; the best trial at the top.

    `no_skill` is the best no-skill predictor and its score. `intervals` has a row `low, high` per trial (NaN if
    unknown). Of several rounds, the folds of each look alike; without `validation` there is one.
    """
    metric = Metric.of(trials)
    top = [place for place, trial in enumerate(trials) if np.isfinite(metric.score(trial))][:MOST]
    figure = Figure(figsize=(WIDTH, 0.24 * len(top) + 1.4))
    axes = figure.subplots()
    values = np.array([_values(trials[place], metric) for place in top])
    metric.scale(axes.xaxis, values)
    validation = validation or CrossValidation(values.shape[1])
    _draw_folds(axes, values, validation)
    means = metric.scores([trials[place] for place in top])
    rows = np.arange(len(top))
    known = intervals is not None and bool(np.isfinite(intervals[top]).any())
    if intervals is not None and known:
        low, high = intervals[top].T
        axes.hlines(rows, low, high, color=BLACK, lw=1.2, zorder=3, label="95 % interval")
    axes.plot(means, rows, "|", color=BLACK, ms=10, mew=2.2, zorder=4, label="mean")
    if no_skill is not None:
        way, score = no_skill
        dashes = (0, (4, 3))
        axes.axvline(score, color=BLACK, lw=1, linestyle=dashes, zorder=1, label=f"no skill: {way}")
    axes.set_yticks(rows, [trial_name(trials[place]) for place in top])
    axes.set_ylim(len(top) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(metric.words)
    figure.suptitle(_title(len(top), validation, len(trials), known), x=0.01, ha="left")
    looks = validation.rounds if validation.rounds > 1 else validation.folds
    figure.legend(loc="outside lower center", ncols=_columns(looks), handlelength=1.6, columnspacing=1.2)
    return figure


def _columns(count: int) -> int:
    """How many columns the legend has: a single row, or several if it is too wide."""
    entries = count + 3
    return -(-entries // -(-entries // 8))


def _title(top: int, validation: CrossValidation, trials: int, known: bool) -> str:
    best = f"All {trials} trials" if top > 1 else "The trial"
    if top < trials:
        best = f"The best {top} of {trials} trials" if top > 1 else f"The best of {trials} trials"
    interval = ", the mean with its 95 % interval by patient" if known else ""
    return f"{best} on {validation} fold{'s' if validation.trainings != 1 else ''}{interval}"


def _values(trial: "RankedTrial", metric: Metric) -> np.ndarray:
    """A trial's score on each fold; NaN if undefined."""
    return trial.scores.folds[metric.name]


def _draw_folds(axes: Axes, values: np.ndarray, validation: CrossValidation) -> None:
    several = validation.rounds > 1
    names = (
        validation.round_names if several else [f"fold {number + 1}" for number in range(validation.folds)]
    )
    rows, alike = np.arange(len(values)), validation.folds if several else 1
    for fold, scores in enumerate(values.T):
        look = fold // alike
        colour, marker = COLOURS[look % len(COLOURS)], MARKERS[look % len(MARKERS)]
        axes.plot(scores, rows, color=colour, lw=1, alpha=0.35, zorder=1.5)
        axes.plot(
            scores,
            rows,
            linestyle="none",
            marker=marker,
            ms=4,
            color=colour,
            mew=0,
            zorder=2,
            label=None if fold % alike else names[look],
        )
