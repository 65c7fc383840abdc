"""What the page is told about the model and the study, as values that JSON can hold."""

import math
from typing import Any

import numpy as np

from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import LABELS
from ichtune.viewer.maps import has_maps
from ichtune.viewer.session import OpenStudy
from ichtune.windows import WINDOWS
from ichtune.wording import plural


def model_facts(name: str, model: TrainedModel, most: int) -> dict[str, Any]:
    """Describe a model, the display windows, and how many bytes a study may have."""
    about = model.about
    return {
        "name": name,
        "has_maps": has_maps(model),
        "labels": LABELS,
        "thresholds": [about.thresholds[label] for label in LABELS],
        "thresholds_chosen": about.thresholds_chosen,
        "calibration": about.calibration.chosen,
        "windows": [{"name": name, "center": of.center, "width": of.width} for name, of in WINDOWS.items()],
        "most_bytes": most,
    }


def study_facts(opened: OpenStudy) -> dict[str, Any]:
    """Describe a study: its series with their slices from the feet towards the head, and its rejected files."""
    return {
        "number": opened.number,
        "first": opened.study.first,
        "series": [_series_facts(opened, series) for series in range(len(opened.study.scans))],
        "rejected": opened.study.rejected,
    }


def _series_facts(opened: OpenStudy, series: int) -> dict[str, Any]:
    described = opened.study.series[series]
    slices = [opened.study.arrived[row].slice for row in opened.rows(series)]
    z_mm = np.array([each.z_mm for each in slices], float)
    return {
        "description": described.description,
        "thickness_mm": _known(described.header.thickness_mm),
        "notes": [*([f"has {described.drawbacks}"] if described.drawbacks else []), *_order_notes(z_mm)],
        "slices": [
            {
                "rows": each.hu.shape[0],
                "columns": each.hu.shape[1],
                "z_mm": _known(each.z_mm),
                "pixel_mm": _known(each.pixel_mm),
            }
            for each in slices
        ],
    }


def _order_notes(z_mm: np.ndarray) -> list[str]:
    """Notes on slices whose place in the series is uncertain."""
    placed = z_mm[np.isfinite(z_mm)]
    without, again = len(z_mm) - len(placed), len(placed) - len(np.unique(placed))
    notes = []
    if without:
        notes.append(
            f"{plural(without, 'slice has', 'slices have')} no position, and so come last, in the order of their files"
        )
    if again:
        notes.append(f"{plural(again, 'slice is', 'slices are')} at the same height as another")
    return notes


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
