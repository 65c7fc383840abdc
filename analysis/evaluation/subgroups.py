"""How a model does on the subgroups that a store knows: sources, slice thicknesses, kinds of hemorrhage."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from analysis.evaluation.predictions import Predictions
from analysis.evaluation.scores import decisions_at_thresholds, with_ends
from ichtune.labels import ANY, LABELS, SUBTYPES

THICKNESSES: Final = {"up to 2 mm": (0, 2), "2 to 4 mm": (2, 4), "above 4 mm": (4, np.inf)}
"""Slice thicknesses as commonly told apart, each above the first end and up to the second."""
FIGURES: Final = ("auc", "auc_any", "sensitivity_any", "specificity_any")


def subgroups(slices: Predictions, table: pd.DataFrame) -> pd.DataFrame:
    """One row per subgroup of slices: `group, value, count, patients, positive` (slices with `any`), and `FIGURES` with
    their ends: the mean AUC over labels, and how well `any` is found. Empty if the store knows no subgroups.

    A source or a thickness is a subgroup where there are several. A kind of hemorrhage is one together with the slices
    without any, where `any` is known; the mean over labels is left out there.
    """
    return pd.DataFrame(
        [_row(group, value, slices.take(which)) for group, value, which in _groups(slices, table)]
    )


def _groups(slices: Predictions, table: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield each subgroup's kind, its name, and the mask of its slices."""
    sources = table["source"].fillna("").astype(str).to_numpy()
    yield from _several("source", {name: sources == name for name in np.unique(sources[sources != ""])})
    thickness = table["thickness_mm"].to_numpy(float)
    bands = {name: (thickness > low) & (thickness <= high) for name, (low, high) in THICKNESSES.items()}
    yield from _several("thickness", bands)
    without = slices.labels[:, LABELS.index(ANY)] == 0
    for column, label in enumerate(SUBTYPES):
        has = slices.labels[:, column] == 1
        if has.any() and without.any():
            yield "label", label, has | without


def _several(group: str, masks: dict[str, np.ndarray]) -> Iterator[tuple[str, str, np.ndarray]]:
    filled = {name: mask for name, mask in masks.items() if mask.any()}
    if len(filled) > 1:
        yield from ((group, name, mask) for name, mask in filled.items())


def _row(group: str, value: str, slices: Predictions) -> dict[str, object]:
    of_any = slices.only([ANY])
    row: dict[str, object] = {
        "group": group,
        "value": value,
        "count": len(slices),
        "patients": len(np.unique(slices.patients)),
        "positive": int((slices.labels[:, LABELS.index(ANY)] == 1).sum()),
    }
    figures = dict.fromkeys((f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high")), np.nan)
    if group != "label":
        figures |= with_ends("auc", slices)
    if of_any.known:
        figures |= {name.replace("auc", "auc_any"): end for name, end in with_ends("auc", of_any).items()}
        (decided,) = decisions_at_thresholds([of_any]).to_dict("records")
        for rate in ("sensitivity", "specificity"):
            figures |= {f"{rate}_any{end}": decided[f"{rate}{end}"] for end in ("", "_low", "_high")}
    return row | figures
