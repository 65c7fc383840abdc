"""The logits of a network for slices as they are, not augmented."""

import numpy as np
import torch

from ichtune.labels import LABELS
from ichtune.models.network import Network
from ichtune.training.batches import Source


@torch.no_grad()
def predict(
    network: Network,
    source: Source,
    rows: np.ndarray,
    *,
    device: torch.device,
    head: int | None = None,
    batch_size: int = 256,
) -> torch.Tensor:
    """Logits of every head for the same rows (int64 `[n]`): float32 `[F, n, 6]`, or `[1, n, 6]` of one `head`.

    Leaves the network in evaluation mode, and the logits on the device.
    """
    network.eval()
    heads = range(len(network.heads)) if head is None else [head]
    chunks = np.split(rows, range(batch_size, len(rows), batch_size)) if len(rows) else []
    logits = [torch.empty(len(heads), 0, len(LABELS), device=device)]
    for inputs in source.batches(chunks, None):
        features = network.features(inputs.to(device, non_blocking=True))
        logits.append(torch.stack([network.heads.one(index, features) for index in heads]))
    return torch.cat(logits, dim=1)
