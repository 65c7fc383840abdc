"""Which parts of the feature bank a search needs; the backbones are built to get their keys."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from ichtune.bank.engines.kinds import ENGINES, TORCH, require
from ichtune.bank.part import FORMAT, BankKey, BankPart, bank_model, part_rows
from ichtune.bank.place import bank_place
from ichtune.data.store import SliceStore
from ichtune.inputs.augment import describe
from ichtune.models.backbones import build_backbone
from ichtune.models.sources import source_of
from ichtune.recipe import Level, Model, Precision


def plan_parts(
    store: SliceStore,
    models: Iterable[Model],
    levels: Iterable[Level],
    *,
    views: int,
    seed: int,
    precision: Precision | Literal["auto"] = "auto",
    engine: str = TORCH,
    bank: str | Path | None = None,
) -> list[BankPart]:
    """Return the parts that these models need: `normal`, and `views` views of each other level.

    `seed` is for augmentation and random weights. Models that differ only in their heads share their parts.
    `bank` is the folder for the parts; see `bank_place`. Computes nothing yet.

    Raises:
        InputError: a backbone can't be built, or the engine isn't installed.
    """
    require(engine)
    parts = {}
    for model in dict.fromkeys(map(bank_model, models)):
        backbone = build_backbone(model, seed=seed, precision=precision)
        weights = backbone.weights_hash()
        for level in dict.fromkeys(("normal", *levels)):
            rows = part_rows(store, level)
            first = _key_of_first_view(store, rows, model, weights, backbone.precision, level, seed, engine)
            for view in range(1 if level == "normal" else views):
                key = replace(first, view=view)
                place = bank_place(store, key, bank)
                part = BankPart(store.place, place, key, model, seed, len(rows), backbone.width)
                parts[part.folder] = part
    return list(parts.values())


def _key_of_first_view(
    store: SliceStore,
    rows: np.ndarray,
    model: Model,
    weights: str,
    precision: Precision,
    level: Level,
    seed: int,
    engine: str,
) -> BankKey:
    return BankKey(
        format=FORMAT,
        store=store.fingerprint,
        rows=hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:16],
        backbone=model.backbone,
        weights=weights,
        windows=model.windows,
        neighbours=model.neighbours,
        size=model.size,
        precision=precision,
        level=level,
        augmentation=tuple(describe(level, model.size)),
        seed=None if level == "normal" else seed,
        view=0,
        versions=library_versions(level, model.backbone, engine),
        engine=engine,
    )


def library_versions(level: Level, backbone: str, engine: str) -> tuple[str, ...]:
    """Return the libraries that affect a backbone's features, with major and minor version."""
    computing = ("torch", *source_of(backbone).libraries, *ENGINES[engine].packages[:1])
    versions = {"opencv": cv2.__version__}
    augmenting = () if level == "normal" else ("albumentations", "albucore", "numpy")
    versions |= {name: version(name) for name in (*computing, *augmenting)}
    return tuple(f"{name} {'.'.join(text.split('.')[:2])}" for name, text in sorted(versions.items()))
