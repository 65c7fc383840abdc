"""Linear heads of several recipes in one batched module: an experiment, to know what that saves.

`ichtune` trains the folds of one recipe side by side. Here R recipes join them: their heads are one parameter, every
step is one matrix product over recipes and folds, and Adam's moments are as large. The recipes differ in learning rate,
weight decay and dropout alone. As all else that is random depends on seed, fold and epoch, they draw the same batches
and the same random numbers for dropout, so both are made once. Each recipe gets the numbers that it gets on its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit

from ichtune.metrics import evaluate
from ichtune.models.heads import LinearHeads
from ichtune.recipe import Adam, Recipe
from ichtune.training.batches import Fold, Source, in_batches, side_by_side
from ichtune.training.losses import make_loss
from ichtune.training.predict import whole_units
from ichtune.training.samplers import make_sampler
from ichtune.training.trainer import PREDICTED_AT_ONCE
from ichtune.training.units import SLICES

BETAS, EPSILON = (0.9, 0.999), 1e-8
LEVELS = 2**16


class Outcome(NamedTuple):
    """Of the last epoch of R recipes on F folds."""

    logits: list[torch.Tensor]
    """Of each fold's validation slices, `[R, n_f, 6]`."""
    auc: np.ndarray
    """`[R, F]`"""
    train_loss: np.ndarray
    """`[R, F]`"""
    grad_norm: np.ndarray
    """`[R, F]`"""


class Batched:
    """R recipes on F folds in training: weights `[R, F, D + 1, 6]` whose last row is the bias, and Adam's moments."""

    def __init__(
        self,
        recipes: Sequence[Recipe],
        width: int,
        labels: np.ndarray,
        folds: Sequence[Fold],
        device: torch.device,
    ) -> None:
        numbers = [fold.index for fold in folds]
        heads = [LinearHeads(width, numbers, recipe.training.seed) for recipe in recipes]
        stacked = torch.stack([torch.stack(tuple(each.weights)) for each in heads])
        self.weights = stacked.detach().to(device).requires_grad_()
        self.moments = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        self.steps = 0
        optimizers = [recipe.optimizer for recipe in recipes if isinstance(recipe.optimizer, Adam)]
        self.lr = self._each([optimizer.lr for optimizer in optimizers])
        self.weight_decay = self._each([optimizer.weight_decay for optimizer in optimizers])
        dropped = [round(recipe.model.dropout * LEVELS) for recipe in recipes]
        self.dropped = self._each(dropped).int()
        self.scale = self._each([LEVELS / (LEVELS - each) for each in dropped])
        self.loss = make_loss(
            recipes[0].loss, [labels[fold.train] for _ in recipes for fold in folds], device
        )

    def _each(self, values: Sequence[float]) -> torch.Tensor:
        """Return a value for each recipe, as it broadcasts over `[R, F, ., .]`."""
        return torch.tensor(values, device=self.weights.device)[:, None, None, None]

    def step(
        self, features: torch.Tensor, levels: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take a step on a batch of each fold, `[F, B, D]` and `[F, B, 6]`; return losses and norms `[R, F]`."""
        weights = self.weights.flatten(0, 1)
        kept = (features * (levels >= self.dropped)).flatten(0, 1)
        scale = self.scale.expand(*self.weights.shape[:2], 1, 1).flatten(0, 1)
        logits = torch.bmm(kept, weights[:, :-1]) * scale + weights[:, -1:]
        losses = self.loss(logits, labels.repeat(len(self.weights), 1, 1))
        losses.sum().backward()
        norms = torch.linalg.vector_norm(self.weights.grad, dim=(2, 3))
        self._adam()
        return losses.detach().view_as(norms), norms

    @torch.no_grad()
    def _adam(self) -> None:
        """Take a step of Adam (Kingma and Ba, 2015, algorithm 1), with L2 as torch adds it, and forget the gradient."""
        assert self.weights.grad is not None
        self.steps += 1
        gradient = self.weights.grad + self.weight_decay * self.weights
        mean, square = self.moments
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        root = (square / (1 - BETAS[1] ** self.steps)).sqrt_().add_(EPSILON)
        self.weights -= self.lr / (1 - BETAS[0] ** self.steps) * mean / root
        self.weights.grad = None

    @torch.no_grad()
    def predict(self, fold: int, features: torch.Tensor) -> torch.Tensor:
        """Return the logits `[R, n, 6]` of one fold's heads for features `[n, D]`."""
        weights = self.weights[:, fold]
        # One product for all recipes, as nothing is dropped.
        logits = features @ weights[:, :-1].transpose(0, 1).flatten(1)
        return logits.unflatten(1, (len(weights), -1)).transpose(0, 1) + weights[:, -1:]


def fit_batched(
    source: Source,
    width: int,
    labels: np.ndarray,
    folds: Sequence[Fold],
    recipes: Sequence[Recipe],
    device: torch.device,
) -> Outcome:
    """Train linear heads of recipes that differ in Adam's rate and weight decay and in dropout alone.

    The folds must be equally large, and no label unknown.
    """
    if len({len(fold.train) for fold in folds}) > 1 or np.isnan(labels).any():
        raise ValueError("this experiment needs folds of the same size, and known labels")
    heads = Batched(recipes, width, labels, folds, device)
    for epoch in range(recipes[0].training.epochs):
        losses, norms = _train(heads, source, labels, folds, recipes[0], epoch, device)
        logits, auc = _validated(heads, source, labels, folds, device)
    return Outcome(logits, auc, losses, norms)


def _train(
    heads: Batched,
    source: Source,
    labels: np.ndarray,
    folds: Sequence[Fold],
    recipe: Recipe,
    epoch: int,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Train for an epoch; return its mean losses and gradient norms `[R, F]`."""
    seed = recipe.training.seed
    orders = [make_sampler(recipe.sampler, fold, labels, seed)(epoch) for fold in folds]
    batches = [list(map(SLICES.batch, in_batches(order, recipe.training.batch_size))) for order in orders]
    steps = side_by_side(batches)
    streams = [np.random.SFC64([*b"dropout", seed, fold.index, epoch]) for fold in folds]
    records = []
    for step, inputs in zip(
        steps, source.batches([step.rows.reshape(-1) for step in steps], epoch), strict=True
    ):
        features = inputs.to(device).unflatten(0, (len(folds), -1))
        levels = np.stack([_levels(stream, features.shape[1:]) for stream in streams])
        targets = torch.from_numpy(labels[step.rows]).to(device)
        records.append(heads.step(features, torch.from_numpy(levels).to(device), targets))
    losses, norms = (torch.stack(each).cpu().numpy() for each in zip(*records, strict=True))
    return np.average(losses, axis=0, weights=[step.counts[0] for step in steps]), norms.mean(axis=0)


def _levels(stream: np.random.SFC64, shape: Sequence[int]) -> np.ndarray:
    """Return what `DropoutStream` compares with its rate, int32 `[n, D]`: torch can't compare its 16 bits on a GPU."""
    size = int(np.prod(shape))
    return stream.random_raw(-(-size // 4)).view(np.uint16)[:size].reshape(shape).astype(np.int32)


def _validated(
    heads: Batched, source: Source, labels: np.ndarray, folds: Sequence[Fold], device: torch.device
) -> tuple[list[torch.Tensor], np.ndarray]:
    """Return each fold's validation logits `[R, n_f, 6]`, and the AUC of all `[R, F]`."""
    logits, auc = [], []
    for place, fold in enumerate(folds):
        rows = (batch.rows for batch in whole_units(SLICES, fold.valid, PREDICTED_AT_ONCE))
        parts = [heads.predict(place, part.to(device)) for part in source.batches(rows, None)]
        logits.append(torch.cat(parts, dim=1).cpu())
        probs = expit(logits[-1].double().numpy())
        auc.append([evaluate(each, labels[fold.valid])["auc"] for each in probs])
    return logits, np.array(auc).T
