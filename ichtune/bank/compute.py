"""Computing the features of some rows of a part, checked against the part's key."""

from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch

from ichtune.bank.part import BankError, BankPart
from ichtune.bank.plan import library_versions
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inputs.images import ImageSource
from ichtune.models.backbones import Backbone, build_backbone
from ichtune.recipe import Model, Precision

BATCH_ROWS: Final = 32
FLOAT16: Final = torch.finfo(torch.float16)


def features(part: BankPart, rows: np.ndarray, threads: int) -> np.ndarray:
    """Return features of the store's rows (int64 `[n]`) as saved, float16 `[n, D]`.

    Sets torch's number of threads in this process.

    Raises:
        BankError: the store, weights or libraries don't match the part's key.
        InputError: features that float16 can't hold.
    """
    torch.set_num_threads(threads)
    key, device = part.key, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone = _backbone(part, device)
    store = open_store(part.store, key.store)
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
    with torch.no_grad():
        computed = torch.cat([backbone(batch.to(device)) for batch in images.batches(batches, key.view)])
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


def _backbone(part: BankPart, device: torch.device) -> Backbone:
    """Return the part's backbone, checked against the part's key."""
    if part.key.versions != library_versions(part.key.level, part.key.backbone):
        here = ", ".join(library_versions(part.key.level, part.key.backbone))
        raise BankError(
            f"the bank was planned with {', '.join(part.key.versions)}, but a process computing it has {here}; "
            "use the same versions on all nodes"
        )
    backbone, weights = _built(part.model, part.seed, part.key.precision, device)
    if weights != part.key.weights:
        raise BankError(
            f"{part.model.backbone}: its {part.model.weights} weights differ from those the bank was planned with "
            f"(hash {weights}, not {part.key.weights}); use the same file on all nodes"
        )
    return backbone


@lru_cache(maxsize=1)
def _built(model: Model, seed: int, precision: Precision, device: torch.device) -> tuple[Backbone, str]:
    """Return a backbone and its weights' hash, built once per process."""
    backbone = build_backbone(model, seed=seed, precision=precision).eval()
    return backbone.to(device), backbone.weights_hash()


@lru_cache(maxsize=1)
def open_store(path: Path, fingerprint: str) -> SliceStore:
    """Open a store once per process, and check that it hasn't changed since its bank was planned."""
    store = SliceStore.open(path)
    if store.fingerprint != fingerprint:
        raise BankError(f"{path}: this store has changed since its bank was planned; run the command again")
    return store
