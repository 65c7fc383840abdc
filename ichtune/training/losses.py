"""A recipe's loss section as a masked loss for each fold."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch.nn import functional

from ichtune.labels import LABELS
from ichtune.recipe import BCE, MSE, Asymmetric, Focal, Loss

Elementwise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class MaskedLoss:
    """The mean loss of each fold over its known labels, weighted by label.

    For logits and labels `[F, B, 6]` (NaN = unknown) it returns `[F]`: the sum of weight x loss over the known
    entries, divided by the sum of their weights; 0 for a fold without known entries. For a micro-batch, pass the
    `total` of the whole batch to get its share of the batch's loss.
    """

    def __init__(self, elementwise: Elementwise, label_weights: torch.Tensor) -> None:
        self._elementwise = elementwise
        self._label_weights = label_weights

    def __call__(
        self, logits: torch.Tensor, labels: torch.Tensor, total: torch.Tensor | None = None
    ) -> torch.Tensor:
        losses = self._elementwise(logits, labels.nan_to_num(nan=0.0))
        return (losses * self._weights(labels)).sum(dim=(1, 2)) / (
            self.total(labels) if total is None else total
        )

    def total(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the sum `[F]` of the weights of all known entries."""
        return self._weights(labels).sum(dim=(1, 2)).clamp(min=torch.finfo(torch.float32).tiny)

    def _weights(self, labels: torch.Tensor) -> torch.Tensor:
        return torch.where(labels.isnan(), 0.0, self._label_weights)


def make_loss(config: Loss, train_labels: Sequence[np.ndarray], device: torch.device) -> MaskedLoss:
    """Return a recipe's loss for F folds, given each fold's training labels `[n_f, 6]`."""
    weights = config.label_weights or (1.0,) * len(LABELS)
    return MaskedLoss(_elementwise(config, train_labels, device), torch.tensor(weights, device=device))


def balanced_pos_weight(labels: np.ndarray) -> np.ndarray:
    """Return negatives / positives of each label, float32 `[6]`, among the known values in `labels` `[n, 6]`.

    1 for a label that lacks either. Not capped: a label with a single positive gets the full weight of its rarity.
    """
    positives, negatives = (labels > 0.5).sum(axis=0), (labels <= 0.5).sum(axis=0)
    both = (positives > 0) & (negatives > 0)
    return np.where(both, negatives / np.maximum(positives, 1), 1.0).astype(np.float32)


def _elementwise(config: Loss, train_labels: Sequence[np.ndarray], device: torch.device) -> Elementwise:
    match config:
        case BCE():
            return _bce(_pos_weight(config, train_labels), config.smoothing, device)
        case Asymmetric():
            return partial(_asymmetric, config)
        case Focal():
            return _focal(config.gamma, config.alpha)
        case MSE():
            return _brier


def _pos_weight(config: BCE, train_labels: Sequence[np.ndarray]) -> np.ndarray:
    """Return the weights of positives, float32 `[6]`, or `[F, 1, 6]` for each fold by its own training labels."""
    if config.pos_weight == "balanced":
        return np.stack([balanced_pos_weight(labels) for labels in train_labels])[:, None]
    return np.array(config.pos_weight or [1] * len(LABELS), dtype=np.float32)


def _bce(pos_weight: np.ndarray, smoothing: float, device: torch.device) -> Elementwise:
    weight = torch.from_numpy(pos_weight).to(device)

    def bce(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        targets = labels * (1 - smoothing) + smoothing / 2 if smoothing else labels
        return functional.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weight, reduction="none"
        )

    return bce


def _focal(gamma: float, alpha: float | None) -> Elementwise:
    # MONAI takes seconds to import, and only this loss needs it.
    from monai.losses import FocalLoss

    # A scalar alpha weights positives; a list, the softmax form and include_background=False mean other things.
    focal = FocalLoss(gamma=gamma, alpha=alpha, include_background=True, use_softmax=False, reduction="none")
    return lambda logits, labels: focal(logits.flatten(0, 1), labels.flatten(0, 1)).view_as(logits)


def _asymmetric(config: Asymmetric, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    # A power below 1 has an infinite slope at 0.
    least = torch.finfo(logits.dtype).tiny
    positive, negative = logits.sigmoid(), (-logits).sigmoid()
    gain = negative.clamp(min=least) ** config.gamma_pos * functional.logsigmoid(logits)
    # Without a margin, the logarithm of a rounded probability could be that of 0.
    log_rest = (negative + config.clip).clamp(max=1).log() if config.clip else functional.logsigmoid(-logits)
    loss = (positive - config.clip).clamp(min=least) ** config.gamma_neg * log_rest
    return -labels * gain - (1 - labels) * loss


def _brier(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the squared error of probabilities, not of logits."""
    return (logits.sigmoid() - labels).square()
