"""Which parts of the feature bank a search needs; the backbones are built to get their keys."""

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import cv2

from ichtune.bank.part import FORMAT, BankKey, BankPart, bank_model, part_rows
from ichtune.bank.place import bank_place
from ichtune.data.store import SliceStore
from ichtune.inputs.augment import describe
from ichtune.models.backbones import Backbone, build_backbone
from ichtune.recipe import Level, Model, Precision


def plan_parts(
    store: SliceStore,
    models: Iterable[Model],
    levels: Iterable[Level],
    *,
    views: int,
    seed: int,
    precision: Precision | Literal["auto"] = "auto",
    bank: str | Path | None = None,
) -> list[BankPart]:
    """Return the parts that these models need: `normal`, and `views` views of each other level.

    `seed` is for augmentation and random weights. Models that differ only in their heads share their parts.
    `bank` is the folder for the parts; see `bank_place`. Computes nothing yet.

    Raises:
        InputError: a backbone can't be built.
    """
    parts = {}
    for model in dict.fromkeys(map(bank_model, models)):
        backbone = build_backbone(model, seed=seed, precision=precision)
        for level in dict.fromkeys(("normal", *levels)):
            for view in range(1 if level == "normal" else views):
                part = _part(store, backbone, model, level, view, seed, bank)
                parts[part.folder] = part
    return list(parts.values())


def _part(
    store: SliceStore,
    backbone: Backbone,
    model: Model,
    level: Level,
    view: int,
    seed: int,
    bank: str | Path | None,
) -> BankPart:
    rows = part_rows(store, level)
    key = BankKey(
        format=FORMAT,
        store=store.fingerprint,
        rows=hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:16],
        backbone=model.backbone,
        weights=backbone.weights_hash(),
        windows=model.windows,
        size=model.size,
        precision=backbone.precision,
        level=level,
        augmentation=tuple(describe(level, model.size)),
        seed=None if level == "normal" else seed,
        view=view,
        versions=library_versions(level),
    )
    return BankPart(store.path, bank_place(store, key, bank), key, model, seed, len(rows), backbone.width)


def library_versions(level: Level) -> tuple[str, ...]:
    """Return the libraries that affect features, with major and minor version."""
    versions = {"opencv": cv2.__version__}
    augmenting = () if level == "normal" else ("albumentations", "albucore", "numpy")
    versions |= {name: version(name) for name in ("torch", "torchvision", *augmenting)}
    return tuple(f"{name} {'.'.join(text.split('.')[:2])}" for name, text in sorted(versions.items()))
