"""A model explained on a store: probabilities, example slices and their activation maps."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.explaining.choose import Outcome, Part, check_label, choose
from analysis.explaining.heat import head_mask, share_outside
from ichtune.data.store import SliceStore
from ichtune.inference.activation_maps import Method, activation_maps, check_maps
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import ANY, LABELS


@dataclass(frozen=True)
class ExplainOptions:
    """What to explain, and how."""

    label: str = ANY
    right: int = 5
    wrong: int = 5
    """The most slices of false alarms, and of missed ones."""
    method: Method = "hirescam"
    layer: str | None = None


@dataclass(frozen=True)
class Example:
    """A slice, what was predicted, and where the evidence for the label is."""

    row: int
    slice_id: str
    outcome: Outcome
    hu: np.ndarray
    heat: np.ndarray
    """The activation map, float32 `[S, S]` in 0..1."""
    truth: np.ndarray
    """`[6]`, NaN if unknown."""
    probabilities: np.ndarray
    """`[6]`."""
    outside: float
    """The share of heat outside the head; NaN if there is no heat."""


@dataclass(frozen=True)
class Explained:
    """A model's examples of one label."""

    name: str
    model: TrainedModel
    store: SliceStore
    options: ExplainOptions
    part: Part
    probabilities: np.ndarray
    """Of the part's slices, `[n, 6]`."""
    layers: tuple[str, ...]
    """The layer of each network that the maps are of."""
    examples: tuple[Example, ...]

    @property
    def table(self) -> pd.DataFrame:
        """A row per example: slice, outcome, the label's probability, and the share of heat outside the head."""
        at = LABELS.index(self.options.label)
        return pd.DataFrame(
            {
                "outcome": [str(example.outcome) for example in self.examples],
                "row": [example.row for example in self.examples],
                "slice_id": [example.slice_id for example in self.examples],
                "probability": [float(example.probabilities[at]) for example in self.examples],
                "heat_outside_head": [example.outside for example in self.examples],
            }
        )

    @property
    def mean_outside(self) -> float:
        """The mean share of heat outside the head over the examples with heat; NaN if none has any."""
        shares = self.table["heat_outside_head"].dropna()
        return float(shares.mean()) if len(shares) else float("nan")


def explain(
    folder: Path,
    data: Path,
    options: ExplainOptions = ExplainOptions(),
    started: Callable[[Part], None] = lambda part: None,
) -> Explained:
    """Explain the model in a folder on a store; `started` is called with the slices before any are predicted.

    Raises:
        InputError: there is no model or store, no such label, layer or method, or no slice has the label.
    """
    store, model = SliceStore.open(data), TrainedModel.open(folder)
    part = Part.of(model, store)
    check_label(store, part, options.label)
    layers = check_maps(model, options.label, options.method, options.layer)
    started(part)
    probabilities = model.predict(store.hu, part.rows, scans=store.scans)
    chosen = _chosen(model, store, part, probabilities, options)
    places = np.concatenate(list(chosen.values()))
    rows = part.rows[places]
    maps = activation_maps(
        model,
        store.hu,
        rows,
        label=options.label,
        scans=store.scans,
        method=options.method,
        layer=options.layer,
    )
    outcomes = [outcome for outcome, found in chosen.items() for _ in found]
    ids = store.table["slice_id"].astype(str).to_numpy()[rows]
    examples = []
    for place, row, name, outcome, heat in zip(places, rows.tolist(), ids, outcomes, maps, strict=True):
        hu = np.asarray(store.hu[row])
        outside = share_outside(heat, head_mask(hu))
        examples.append(
            Example(row, name, outcome, hu, heat, store.labels[row], probabilities[place], outside)
        )
    return Explained(
        folder.resolve().name, model, store, options, part, probabilities, layers, tuple(examples)
    )


def _chosen(
    model: TrainedModel, store: SliceStore, part: Part, probabilities: np.ndarray, options: ExplainOptions
) -> dict[Outcome, np.ndarray]:
    at = LABELS.index(options.label)
    counts = {
        Outcome.RIGHT: options.right,
        Outcome.FALSE_ALARM: options.wrong,
        Outcome.MISSED: options.wrong,
    }
    truth, patients = store.labels[part.rows, at], store.patients[part.rows]
    return choose(truth, probabilities[:, at], float(model.thresholds[at]), patients, counts)
