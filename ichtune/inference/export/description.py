"""What an exported file says of itself."""

import json
from typing import Any

from ichtune.inference.about import About
from ichtune.inference.export.graph import INPUT, OUTPUTS
from ichtune.intended_use import RESEARCH_ONLY
from ichtune.labels import LABELS
from ichtune.wording import plural


def described(about: About) -> dict[str, Any]:
    """Everything that a user of the file needs: inputs, units, preprocessing, outputs and thresholds, as plain data."""
    seen, scans = about.preprocessing, about.recipe.head.reads_scans
    together = 2 * seen.neighbours + 1
    slices = "the slices of one scan, from the feet towards the head" if scans else "any number of slices"
    return {
        "intended_use": RESEARCH_ONLY,
        "input": {
            "name": INPUT,
            "type": "float32",
            "shape": ["slices", together, seen.size, seen.size],
            "units": "Hounsfield units",
            "slices": slices,
            "channels": _channels(seen.neighbours),
            "orientation": "rows run towards the patient's left and columns to the back; pixels are square in mm",
            "resizing": f"to {seen.size} x {seen.size} beforehand: padded to a square with -1000 HU; when shrinking "
            "by area (OpenCV's INTER_AREA), when growing linearly; rounded to whole units",
        },
        "preprocessing_inside": {
            "windows": [f"{window} (centre/width in HU)" for window in seen.windows],
            "grey_values": "0 to 1 in steps of 1/255",
            "normalization": "by the mean and deviation of the network's weights",
        },
        "outputs": {
            name: {"type": "float32", "shape": ["slices", len(LABELS)], "meaning": meaning}
            for name, meaning in zip(
                OUTPUTS,
                ("uncalibrated", f"calibrated by {about.calibration.method}: {about.calibration.chosen}"),
                strict=True,
            )
        },
        "labels": list(LABELS),
        "thresholds": about.thresholds,
        "thresholds_chosen": about.thresholds_chosen,
        "precision": "float32",
        "model": {
            **about.origin.model_dump(),
            "backbone": about.recipe.model.backbone,
            "head": about.recipe.head.name,
            "networks": max(len(about.members), 1),
            "store": about.fingerprint,
        },
    }


def as_text(about: About) -> dict[str, str]:
    """The same as JSON text by name, as file formats keep metadata."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in described(about).items()
    }


def _channels(neighbours: int) -> str:
    if not neighbours:
        return "the slice"
    sides = plural(neighbours, "slice", "slices")
    return (
        f"the {sides} before it, the slice, and the {sides} after it, from the feet towards the head; "
        "at the ends of a scan, its last slice again"
    )
