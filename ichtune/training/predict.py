"""Predictions of a network on slices without augmentation."""

import numpy as np
import torch

from ichtune.labels import LABELS
from ichtune.models.network import Network
from ichtune.training.batches import Source
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

    The rows make up whole units, which go through the network `batch_size` at a time. Leaves the network in
    evaluation mode, and the logits on the device.
    """
    network.eval()
    heads = range(len(network.heads)) if head is None else [head]
    order = units.within(rows)
    edges = range(batch_size, len(order), batch_size)
    chunks = [units.rows(chunk) for chunk in np.split(order, edges)] if len(order) else []
    logits = [torch.empty(len(heads), 0, len(LABELS), device=device)]
    for inputs in source.batches(chunks, None):
        features = network.features(inputs.to(device, non_blocking=True))
        logits.append(torch.stack([network.heads.one(index, features) for index in heads]))
    return torch.cat(logits, dim=1)
