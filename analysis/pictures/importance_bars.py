"""Which hyperparameters mattered, compared with what one without effect would get."""

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.pictures.style import BLACK, BLUE, PALE, VERMILLION, WIDTH, paper
from analysis.pictures.words import shortened

ROW: Final = 0.27
"""Inches between bars."""
ALPHA: Final = 0.75
EVERYWHERE: Final = "all branches"


@paper()
def importance(table: pd.DataFrame) -> Figure:
    """Bars by branch, the longest first; `table` has `parameter, branch, trials, importance, deviation, chance`.

    The rows of a branch divide its explained variance among them. Missing importances are labelled as such.
    """
    groups = [group for _, group in table.groupby(table["branch"].fillna("").astype(str), sort=False)]
    rows = sum(len(group) + 1 for group in groups)
    figure = Figure(figsize=(WIDTH, ROW * rows + 1.0))
    axes = figure.subplots()
    place, labels = 0.0, {}
    for group in groups:
        labels[place] = _heading(group)
        for _, row in group.sort_values("importance", ascending=False, na_position="last").iterrows():
            place += 1
            labels[place] = shortened(str(row["parameter"]), 38)
            _draw_bar(axes, place, row)
        place += 1.3
    axes.set_yticks(list(labels), list(labels.values()))
    headings = {_heading(group) for group in groups}
    for text in axes.get_yticklabels():
        text.set_fontweight("bold" if text.get_text() in headings else "normal")
    axes.set_ylim(place - 0.6, -0.6)
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set(
        xlabel="importance: share of the score's variance within the branch",
        title="What mattered, branch by branch",
    )
    _legend(figure, axes)
    return figure


def _heading(group: pd.DataFrame) -> str:
    branch = group["branch"].iloc[0]
    name = str(branch) if isinstance(branch, str) and branch else EVERYWHERE
    return f"{shortened(name, 34)} ({group['trials'].max():.0f} trials)"


def _draw_bar(axes: Axes, place: float, row: pd.Series) -> None:
    """Draw a bar with its number; pale if it is no higher than chance."""
    if not np.isfinite(row["importance"]):
        _write(axes, 0, place, "too few trials")
        return
    above = not row["importance"] <= row["chance"]
    axes.barh(place, row["importance"], height=0.62, color=BLUE if above else PALE, alpha=ALPHA)
    ends = [row["importance"]]
    if np.isfinite(row["deviation"]):
        error = _within_zero(row)
        axes.errorbar(row["importance"], place, xerr=error, color=BLACK, lw=0.9, capsize=2.5, fmt="none")
        ends.append(row["importance"] + row["deviation"])
    if np.isfinite(row["chance"]):
        axes.vlines(row["chance"], place - 0.42, place + 0.42, color="white", lw=3.2, zorder=3)
        axes.vlines(row["chance"], place - 0.42, place + 0.42, color=VERMILLION, lw=1.8, zorder=3.1)
        ends.append(row["chance"])
    share = f"{row['importance']:.3f}" if row["importance"] >= 0.001 else "< 0.001"
    _write(axes, max(ends), place, share if above else f"{share}, no more than chance")


def _write(axes: Axes, end: float, place: float, text: str) -> None:
    axes.annotate(text, (end, place), (5, 0), textcoords="offset points", va="center", color="0.3")


def _within_zero(row: pd.Series) -> np.ndarray:
    """The error bar, cut off at zero."""
    return np.array([[min(row["deviation"], row["importance"])], [row["deviation"]]])


def _legend(figure: Figure, axes: Axes) -> None:
    axes.barh([], [], color=BLUE, alpha=ALPHA, label="importance")
    axes.errorbar([], [], xerr=[], color=BLACK, lw=0.9, capsize=2.5, fmt="none", label="± deviation")
    axes.vlines([], 0, 1, color=VERMILLION, lw=1.8, label="chance: a setting without effect")
    figure.legend(loc="outside lower center", ncols=3)
