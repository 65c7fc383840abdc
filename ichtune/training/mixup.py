"""Mixup: each input of a batch mixed with another one, and their labels alike."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from ichtune.training.batches import Part, Step


class Mix(NamedTuple):
    """The partners of a step's rows, and how much of a mixture is each row's own."""

    partners: np.ndarray
    """Rows, int64 `[F, B]`."""
    share: np.ndarray
    """float32 `[F]`: lambda, the share of the row itself; the partner's is 1 - lambda."""


class Mixup:
    """Draws the mixtures of an epoch's steps in order.

    Mixup is by Zhang et al., "mixup: Beyond empirical risk minimization", 2018. As in the authors' code, the units of a
    batch are mixed with a permutation of themselves, all in the same share, which has the distribution Beta(alpha,
    alpha). In scans, each slice is mixed with the slice at the same relative place of the other scan. The numbers
    depend on (seed, fold, epoch) alone.
    """

    def __init__(self, alpha: float, folds: Sequence[int], *, seed: int, epoch: int) -> None:
        self._alpha = alpha
        self._rngs = [np.random.default_rng([*b"mixup", seed, fold, epoch]) for fold in folds]

    def draw(self, step: Step) -> Mix:
        """Return the partners of the next step; padding has itself."""
        partners, share = step.rows.copy(), np.ones(len(step.rows), np.float32)
        for fold, (sizes, rng) in enumerate(zip(step.sizes, self._rngs, strict=True)):
            if len(sizes):
                share[fold] = rng.beta(self._alpha, self._alpha)
                columns = _partner_columns(sizes, rng.permutation(len(sizes)))
                partners[fold, : len(columns)] = step.rows[fold, columns]
        return Mix(partners, share)


def _partner_columns(sizes: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """Return the column of each row's partner (int64 `[n]`), given the sizes and the partner of each unit `[u]`."""
    starts = np.cumsum(sizes) - sizes
    own, other = np.repeat(sizes, sizes), np.repeat(sizes[partner], sizes)
    place = np.arange(sizes.sum()) - np.repeat(starts, sizes)
    # The slice that has the middle of this one, if both scans are as long.
    return np.repeat(starts[partner], sizes) + (2 * place + 1) * other // (2 * own)


class MixedInputs:
    """The inputs of a part of a step with a mix, of which none is read twice."""

    def __init__(self, part: Part, mix: Mix) -> None:
        rows = np.stack([part.step.rows, part.of(torch.from_numpy(mix.partners)).numpy()])
        self.rows, places = np.unique(rows, return_inverse=True)
        """The rows to read, int64 `[n]`."""
        self._own, self._partners = torch.from_numpy(places.reshape(2, -1))
        self._share = torch.from_numpy(np.repeat(mix.share, part.step.rows.shape[1]))

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the mixed inputs of the part `[F * B, ...]` from those of `rows` `[n, ...]`."""
        share = self._share.to(inputs.device).reshape(-1, *[1] * (inputs.ndim - 1))
        return torch.lerp(inputs[self._partners], inputs[self._own], share)
