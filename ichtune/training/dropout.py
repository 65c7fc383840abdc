"""Dropout masks that depend only on (seed, fold, epoch), so that folds train identically together or alone."""

from collections.abc import Sequence

import numpy as np
import torch

from ichtune.models.dropout import DropoutStream


class DropoutMasks:
    """Inverted dropout of features for one epoch: masks for its steps in order; see `DropoutStream`."""

    def __init__(self, rate: float, folds: Sequence[int], *, seed: int, epoch: int) -> None:
        self._streams = [DropoutStream(rate, [*b"dropout", seed, fold, epoch]) for fold in folds]

    def draw(self, counts: np.ndarray, width: int) -> torch.Tensor:
        """Return the masks of the next step, float32 `[F, B, D]` where B is the largest of `counts`; padding is 0."""
        masks = np.zeros((len(counts), counts.max(), width), dtype=np.float32)
        for mask, count, stream in zip(masks, counts, self._streams, strict=True):
            stream.draw(mask[:count])
        return torch.from_numpy(masks)
