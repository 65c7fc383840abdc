"""Predictions of a network on slices without augmentation."""

from collections.abc import Sequence

import numpy as np
import torch

from ichtune.labels import LABELS
from ichtune.models.network import Network
from ichtune.training.batches import Batch, Source
from ichtune.training.units import SLICES, Units


@torch.no_grad()
def predict(
    network: Network,
    source: Source,
    rows: np.ndarray,
    *,
    device: torch.device,
    head: int | None = None,
    units: Units = SLICES,
    batch_size: int = 256,
) -> torch.Tensor:
    """Return every head's logits on the same rows (int64 `[n]`): float32 `[F, n, 6]`, or `[1, n, 6]` for one `head`.

    Whole units go through the network, about `batch_size` slices at a time, so of a scan with some of its slices in
    `rows`, all are read. Leaves the network in evaluation mode, and the logits on the device.
    """
    network.eval()
    heads = range(len(network.heads)) if head is None else [head]
    chunks = whole_units(units, rows, batch_size)
    logits = [torch.empty(len(heads), 0, len(LABELS), device=device)]
    for (_, sizes), inputs in zip(
        chunks, source.batches((chunk.rows for chunk in chunks), None), strict=True
    ):
        features = network.features(inputs.to(device, non_blocking=True))
        logits.append(torch.stack([network.heads.one(index, features, sizes) for index in heads]))
    return torch.cat(logits, dim=1)[:, places(chunks, rows)]


def whole_units(units: Units, rows: np.ndarray, slices: int) -> list[Batch]:
    """Return the units that rows (int64 `[n]`) are in, in chunks of about this many slices."""
    order = units.within(rows)
    step = units.per_batch(order, slices)
    return [units.batch(order[first : first + step]) for first in range(0, len(order), step)]


def places(chunks: Sequence[Batch], rows: np.ndarray) -> np.ndarray | slice:
    """Return where rows (int64 `[n]`) are among those of all chunks; a slice if they are the same."""
    read = np.concatenate([rows[:0], *(chunk.rows for chunk in chunks)])
    if np.array_equal(read, rows):
        return slice(None)
    by_row = np.argsort(read)
    return by_row[np.searchsorted(read, rows, sorter=by_row)]
