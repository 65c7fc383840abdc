"""The AUC of each of the six labels."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.pictures.style import BLACK, BLUE, VERMILLION, WIDTH, paper
from ichtune.labels import LABELS

LOOKS = ((BLUE, "o", "full"), (VERMILLION, "s", "none"))


@paper()
def labels(table: pd.DataFrame, names: dict[str, str]) -> Figure:
    """Points with 95 % intervals by patient, for one trial or two side by side.

    `table` has the columns `trial, label, auc, auc_low, auc_high, positive_patients`; `names` maps its trials to the
    names shown.
    """
    figure = Figure(figsize=(WIDTH, 3.2))
    axes = figure.subplots()
    known = [label for label in LABELS if (table["label"] == label).any()]
    shifts = [0.0] if len(names) == 1 else [-0.13, 0.13]
    axes.axhline(0.5, color=BLACK, lw=1, linestyle=(0, (4, 3)), zorder=1, label="no skill")
    for (trial, name), shift, look in zip(names.items(), shifts, LOOKS, strict=False):
        _draw_trial(axes, table[table["trial"] == trial].set_index("label").reindex(known), name, shift, look)
    for label in set(table["label"][table["auc"].isna()]):
        axes.annotate(
            "undefined",
            (known.index(label), 0.5),
            (0, 5),
            textcoords="offset points",
            ha="center",
            color="0.35",
        )
    positive = table.groupby("label")["positive_patients"].first()
    axes.set_xticks(range(len(known)), [f"{label}\n{_patients(positive[label])}" for label in known])
    axes.set_xlim(-0.5, len(known) - 0.5)
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.02))
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.set(ylabel="AUC, with 95 % interval by patient", title="How well each kind of hemorrhage is found")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _patients(count: float) -> str:
    return f"{count:.0f} patient{'s' if count != 1 else ''}" if np.isfinite(count) else "unknown"


def _draw_trial(axes: Axes, rows: pd.DataFrame, name: str, shift: float, look: tuple[str, str, str]) -> None:
    colour, marker, fill = look
    auc, low, high = (rows[column].to_numpy(float) for column in ("auc", "auc_low", "auc_high"))
    places = np.arange(len(rows)) + shift
    axes.errorbar(
        places,
        auc,
        np.nan_to_num(np.stack([auc - low, high - auc])).clip(min=0),
        fmt=marker,
        ms=6,
        color=colour,
        mfc=colour if fill == "full" else "white",
        lw=1.3,
        capsize=3,
        label=name,
    )
