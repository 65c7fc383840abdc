"""A model explained on a store: probabilities, example slices and their activation maps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.explaining.choose import Outcome, Part, check_label, choose
from analysis.explaining.heat import head_mask, share_outside
from ichtune.data.blood_masks import read_blood_mask
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.activation_maps import Method, activation_maps, check_maps
from ichtune.inference.model_place import ModelPlace
from ichtune.inference.trained_model import TrainedModel
from ichtune.inference.whole_scans import whole_scans
from ichtune.labels import ANY, LABELS
from ichtune.progress import Report


@dataclass(frozen=True)
class ExplainOptions:
    """What to explain, and how."""

    label: str = ANY
    right: int = 5
    wrong: int = 5
    """The most slices of false alarms, and of missed ones."""
    method: Method = "hirescam"
    layer: str | None = None
    masks: Path | None = None
    """A folder of blood masks."""


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
    on_blood: float
    """The share of heat on the label's blood; NaN without a mask or heat."""


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
        """A row per example: slice, outcome, the label's probability, and where the heat is; see `Example`."""
        at = LABELS.index(self.options.label)
        return pd.DataFrame(
            {
                "outcome": [str(example.outcome) for example in self.examples],
                "row": [example.row for example in self.examples],
                "slice_id": [example.slice_id for example in self.examples],
                "probability": [float(example.probabilities[at]) for example in self.examples],
                "heat_outside_head": [example.outside for example in self.examples],
                "heat_on_blood": [example.on_blood for example in self.examples],
            }
        )

    @property
    def mean_outside(self) -> float:
        """The mean share of heat outside the head over the examples with heat; NaN if none has any."""
        return _mean([example.outside for example in self.examples])

    @property
    def mean_on_blood(self) -> float:
        """The mean share of heat on the blood over the examples with heat and a mask; NaN if there are none."""
        return _mean([example.on_blood for example in self.examples])


def _mean(shares: list[float]) -> float:
    known = [share for share in shares if not np.isnan(share)]
    return float(np.mean(known)) if known else float("nan")


def explain(
    model: str | Path | ModelPlace,
    data: str | Path,
    options: ExplainOptions = ExplainOptions(),
    started: Callable[[Part], None] = lambda part: None,
    report: Report = lambda *_: None,
) -> Explained:
    """Explain a model on a store; each may be at a URI.

    Args:
        started: called with the slices before any are predicted.
        report: receives the slices predicted so far, their number, and a remark.

    Raises:
        InputError: there is no model or store, no such label, layer or method, or no slice has the label.
    """
    place, store = ModelPlace.of(model), SliceStore.open(data)
    opened = TrainedModel.open(place.folder)
    part = Part.of(opened, store)
    check_label(store, part, options.label)
    if options.masks:
        _check_masks(options.masks, store, part)
    layers = check_maps(opened, options.label, options.method, options.layer)
    started(part)
    probabilities = _predicted(opened, store, part.rows, report)
    report(len(part.rows), len(part.rows), "activation maps")
    chosen = _chosen(opened, store, part, probabilities, options)
    examples = tuple(_examples(opened, store, part, probabilities, options, chosen))
    return Explained(place.name, opened, store, options, part, probabilities, layers, examples)


def _predicted(model: TrainedModel, store: SliceStore, rows: np.ndarray, report: Report) -> np.ndarray:
    probabilities, done = np.empty((len(rows), len(LABELS))), 0
    for places in whole_scans(store.scans.of_row[rows]):
        probabilities[places] = model.predict(store.hu, rows[places], scans=store.scans)
        done += len(places)
        report(done, len(rows), "")
    return probabilities


def _examples(
    model: TrainedModel,
    store: SliceStore,
    part: Part,
    probabilities: np.ndarray,
    options: ExplainOptions,
    chosen: dict[Outcome, np.ndarray],
) -> Iterator[Example]:
    places = np.concatenate(list(chosen.values()))
    outcomes = [outcome for outcome, found in chosen.items() for _ in found]
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
    ids = store.table["slice_id"].astype(str).to_numpy()[rows]
    for place, row, name, outcome, heat in zip(places, rows.tolist(), ids, outcomes, maps, strict=True):
        hu = np.asarray(store.hu[row])
        yield Example(
            row,
            name,
            outcome,
            hu,
            heat,
            store.labels[row],
            probabilities[place],
            outside=share_outside(heat, head_mask(hu)),
            on_blood=_on_blood(heat, name, options),
        )


def _on_blood(heat: np.ndarray, slice_id: str, options: ExplainOptions) -> float:
    if options.masks is None:
        return float("nan")
    blood = read_blood_mask(options.masks, slice_id, options.label, len(heat))
    return float("nan") if blood is None else 1 - share_outside(heat, blood)


def _check_masks(folder: Path, store: SliceStore, part: Part) -> None:
    there = {file.stem for file in folder.glob("*.png")}
    if not there & set(store.table["slice_id"].astype(str).iloc[part.rows]):
        raise InputError(
            f"--masks {folder}: has no mask SLICE_ID.png of a slice to explain; `ichtune phantom --masks` writes them"
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
