"""Exporting a trained model, checked against the original before the file gets its name."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import torch

from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.inference.export.bundle import load_bundle, write_bundle
from ichtune.inference.export.formats import (
    Format,
    load_onnx,
    load_torchscript,
    write_onnx,
    write_torchscript,
)
from ichtune.inference.export.graph import Exported
from ichtune.inference.export.verify import TOLERANCE, Sample, deviation
from ichtune.inference.model_place import ModelPlace
from ichtune.inference.trained_model import TrainedModel
from ichtune.wording import not_one_of

FORMATS: Final = {
    "onnx": Format("model.onnx", (write_onnx, partial(write_onnx, optimize=False)), load_onnx),
    "torchscript": Format("model.ts", (write_torchscript,), load_torchscript),
    "monai-bundle": Format("monai-bundle", (write_bundle,), load_bundle),
}


@dataclass(frozen=True)
class Export:
    """An exported model."""

    path: Path
    deviation: float
    """The largest difference to the model, of a probability or, relative to its size, of a logit."""
    compared_on: str
    """In words."""
    refused: list[float]
    """The differences of faster files, which were too large."""


def export(
    model: str | Path | ModelPlace,
    to: str = "onnx",
    out: str | Path | None = None,
    data: str | Path | None = None,
) -> Export:
    """Export a model in a format of `FORMATS`, to `out` or where its results go (`ModelPlace.results`).

    It is compared with the original on slices of the store `data`, or on made-up ones.

    export("runs/mine/retrain/rank1-all", "onnx").path

    Raises:
        InputError: an unknown format, no model, something at `out` that it may not replace, a model that the format
            can't hold, packages that are missing, or outputs that differ from the model's.
    """
    if to not in FORMATS:
        raise InputError(f"--to: {not_one_of(to, FORMATS)}")
    kind = FORMATS[to]
    place = ModelPlace.of(model)
    trained = TrainedModel.open(place.folder, torch.device("cpu"))
    path = place.results(kind.name) if out is None else Path(out)
    seen = trained.about.preprocessing
    sample = Sample.made_up(seen.size) if data is None else Sample.of(SliceStore.open(data))
    example = torch.from_numpy(sample.take(3).inputs(seen.size, seen.neighbours))
    if path.is_dir():
        raise InputError(f"{path}: is already there; remove it, or give another --out")
    differences: list[float] = []
    with replacing(path) as file:
        try:
            for write in kind.writes:
                write(Exported(trained.about, trained.networks), example, trained.about, file)
                differences.append(deviation(kind.load(file), trained, sample))
                if differences[-1] <= TOLERANCE:
                    return Export(path, differences[-1], sample.source, differences[:-1])
            raise InputError(
                f"the exported file differs from the model by {differences[-1]:.1e} on {sample.source}, more than "
                f"{TOLERANCE:g}; nothing was written: try another --to"
            )
        except BaseException:
            shutil.rmtree(file, ignore_errors=True)  # a file is deleted by `replacing`
            raise
