"""Computing the features of some rows of a part, checked against the part's key."""

from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch

from ichtune.bank.engines.kinds import require
from ichtune.bank.engines.protocol import Engine
from ichtune.bank.engines.start import start
from ichtune.bank.part import BankError, BankPart
from ichtune.bank.plan import library_versions
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inputs.images import ImageSource
from ichtune.models.backbones import build_backbone
from ichtune.recipe import Model, Precision

BATCH_ROWS: Final = 32
CHECKED: Final = 8
"""Images on which each process compares an engine with torch before it computes any features."""
FLOAT16: Final = torch.finfo(torch.float16)


def features(part: BankPart, rows: np.ndarray, threads: int) -> np.ndarray:
    """Return features of the store's rows (int64 `[n]`) as saved, float16 `[n, D]`.

    Uses so many threads, and as many for images; sets torch's number of threads in this process.

    Raises:
        BankError: the store, weights or libraries don't match the part's key.
        InputError: the engine can't be used here, or features that float16 can't hold.
    """
    key, store = part.key, open_store(part.store, part.key.store)
    engine = _engine(part, store, threads)
    images = ImageSource(
        store.hu,
        part.model,
        key.level,
        seed=part.seed,
        views=key.view + 1,
        threads=threads,
        scans=store.scans,
    )
    batches = np.split(rows, range(BATCH_ROWS, len(rows), BATCH_ROWS))
    computed = torch.cat([engine(batch) for batch in images.batches(batches, key.view)])
    return _as_float16(computed.cpu(), part, rows)


def _as_float16(features: torch.Tensor, part: BankPart, rows: np.ndarray) -> np.ndarray:
    largest = features.abs().max().item()  # NaN if there is one
    if largest == 0 or FLOAT16.smallest_normal <= largest <= FLOAT16.max:
        return features.half().numpy()
    raise InputError(
        f"model.backbone: the largest feature of {part.key.backbone} with {part.model.weights} weights on "
        f"rows {rows[0]} to {rows[-1]} ({part.key.level}, view {part.key.view}) is {largest:.3g}; float16 holds "
        f"{FLOAT16.smallest_normal:.2g} to {FLOAT16.max:.0f}. Features of deep networks with random weights can vanish "
        "or explode: use ImageNet weights (--set model.weights=imagenet) or another backbone"
    )


def _engine(part: BankPart, store: SliceStore, threads: int) -> Engine:
    """Return the part's engine, checked against the part's key."""
    require(part.key.engine)
    here = library_versions(part.key.level, part.key.backbone, part.key.engine)
    if part.key.versions != here:
        raise BankError(
            f"the bank was planned with {', '.join(part.key.versions)}, but a process computing it has "
            f"{', '.join(here)}; use the same versions on all nodes"
        )
    engine, weights = _started(part.key.engine, store, part.model, part.seed, part.key.precision, threads)
    if weights != part.key.weights:
        raise BankError(
            f"{part.model.backbone}: its {part.model.weights} weights differ from those the bank was planned with "
            f"(hash {weights}, not {part.key.weights}); use the same file on all nodes"
        )
    return engine


@lru_cache(maxsize=1)
def _started(
    engine: str, store: SliceStore, model: Model, seed: int, precision: Precision, threads: int
) -> tuple[Engine, str]:
    """Return an engine and its backbone's weights' hash, started once per process."""
    backbone = build_backbone(model, seed=seed, precision=precision).eval()
    weights = backbone.weights_hash()
    images = examples(store, model, CHECKED)
    return start(engine, backbone, images, network=model.backbone, threads=threads), weights


def examples(store: SliceStore, model: Model, count: int) -> torch.Tensor:
    """Return images of slices from all over the store, as the model sees them: float32 `[count, C, S, S]`."""
    rows = np.linspace(0, len(store) - 1, count).astype(np.int64)
    source = ImageSource(store.hu, model, "normal", seed=0, views=1, scans=store.scans)
    return next(source.batches([rows], None))


@lru_cache(maxsize=1)
def open_store(path: str | Path, fingerprint: str) -> SliceStore:
    """Open a store once per process, and check that it hasn't changed since its bank was planned."""
    store = SliceStore.open(path)
    if store.fingerprint != fingerprint:
        raise BankError(f"{path}: this store has changed since its bank was planned; run the command again")
    return store
