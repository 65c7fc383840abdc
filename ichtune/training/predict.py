"""Predictions of a network on slices without augmentation."""

from collections.abc import Sequence

import numpy as np
import torch

from ichtune.labels import LABELS
from ichtune.models.network import Network
from ichtune.training.batches import Batch, Source
from ichtune.training.team import ALONE, Team
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
    team: Team = ALONE,
) -> torch.Tensor:
    """Return every head's logits on the same rows (int64 `[n]`): float32 `[F, n, 6]`, or `[1, n, 6]` for one `head`.

    Whole units go through the network, about `batch_size` slices at a time, so of a scan with some of its slices in
    `rows`, all are read. Leaves the network in evaluation mode, and the logits on the device. The members of a `team`
    share the chunks, and all get all logits. A trained backbone computes in float32, as its model will.
    """
    network.eval()
    heads = range(len(network.heads)) if head is None else [head]
    chunks = whole_units(units, rows, batch_size)
    sizes = [len(chunk.rows) for chunk in chunks]
    logits = torch.zeros(len(heads), sum(sizes), len(LABELS), device=device)
    own = team.share(list(zip(chunks, logits.split(sizes, dim=1), strict=True)))
    inputs = source.batches((chunk.rows for chunk, _ in own), None)
    with network.exact():
        for (chunk, here), its in zip(own, inputs, strict=True):
            features = network.features(its.to(device, non_blocking=True))
            here.copy_(torch.stack([network.heads.one(index, features, chunk.sizes) for index in heads]))
    team.add_up([logits])
    return logits[:, places(chunks, rows)]


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
