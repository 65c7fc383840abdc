"""What the page is told about the model and the study, as values that JSON can hold."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ichtune.data.formats.slice import CTSlice
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import LABELS
from ichtune.viewer.maps import has_maps
from ichtune.viewer.session import OpenStudy
from ichtune.viewer.study import Arrived
from ichtune.windows import WINDOWS
from ichtune.wording import plural

SIDES: Final = ("R", "A", "L", "P")
"""What is at the left, top, right and bottom edge of a slice whose orientation is known (see `CTSlice`)."""


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
    arrived = [opened.study.arrived[row] for row in opened.rows(series)]
    z_mm = np.array([each.slice.z_mm for each in arrived], float)
    return {
        "description": described.description,
        "thickness_mm": _known(described.header.thickness_mm),
        "notes": [
            *([f"has {described.drawbacks}"] if described.drawbacks else []),
            *_owner_notes(arrived[0].slice, opened.study.arrived),
            *_order_notes(z_mm),
            *_side_notes(arrived),
        ],
        "slices": [_slice_facts(each) for each in arrived],
    }


def _slice_facts(arrived: Arrived) -> dict[str, Any]:
    found = arrived.slice
    return {
        "rows": found.hu.shape[0],
        "columns": found.hu.shape[1],
        "z_mm": _known(found.z_mm),
        "pixel_mm": _known(found.pixel_mm),
        "sides": SIDES if arrived.header.orientation else None,
    }


def _owner_notes(found: CTSlice, arrived: Sequence[Arrived]) -> list[str]:
    """A note on whose slice this is, if all that arrived is of several patients or, else, of several studies."""
    for name, owner, several in (
        ("patient", found.patient_id, {each.slice.patient_id for each in arrived}),
        ("study", found.study_id, {each.slice.study_id for each in arrived}),
    ):
        if len(several) > 1:
            return [f"is of {name} {owner or 'unknown'}, one of {len(several)} in these files"]
    return []


def _side_notes(arrived: Sequence[Arrived]) -> list[str]:
    """A note on slices that don't state where the patient's left and right are."""
    count = sum(not each.header.orientation for each in arrived)
    if not count:
        return []
    return [
        f"{plural(count, 'slice does not say', 'slices do not say')} which side is left and which is right"
    ]


def _order_notes(z_mm: np.ndarray) -> list[str]:
    """Notes on slices whose place in the series is uncertain."""
    placed = z_mm[np.isfinite(z_mm)]
    without, again = len(z_mm) - len(placed), len(placed) - len(np.unique(placed))
    notes = []
    if without:
        what = plural(without, "slice has no position and comes", "slices have no position and come")
        notes.append(f"{what} last, in the order of the files")
    if again:
        notes.append(f"{plural(again, 'slice is', 'slices are')} at the same height as another")
    return notes


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
