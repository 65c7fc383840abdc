"""Training as one generator of epochs, for heads on cached features and for whole networks on images."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ichtune.errors import InputError
from ichtune.models.network import Network
from ichtune.recipe import Recipe
from ichtune.training.batches import Fold, Source
from ichtune.training.results import EpochResult, merge
from ichtune.training.team import ALONE, Team
from ichtune.training.trainer import Trainer
from ichtune.training.units import SLICES, Units


def fit(
    network: Network,
    source: Source,
    labels: np.ndarray,
    folds: Sequence[Fold],
    recipe: Recipe,
    *,
    device: torch.device,
    resume: dict[str, Any] | None = None,
    micro_batches: int = 1,
    units: Units = SLICES,
    team: Team = ALONE,
) -> Iterator[EpochResult]:
    """Train the network's heads, one per fold, and yield one result per epoch.

    Folds that train side by side get the same numbers as each would alone. They share the backbone, so it must be
    frozen; `fit_folds_apart` trains backbones. Everything computed from data (balanced weights, the sampler's
    weights) uses only the fold's own training rows of `labels` `[N, 6]` (NaN = unknown).

    Randomness depends only on (seed, fold, epoch), so resuming from a result's `state()` reproduces the epochs that
    would have followed bit for bit (on a GPU, if its kernels are deterministic).

    A batch consists of whole `units`. The recipe's batch size counts slices: of scans, a batch has as many as have
    that many slices on average in the fold's training part, at least one.

    Heads with `standard` normalisation that have no statistics yet take those of the fold's training part without
    augmentation, before the first epoch.

    If memory doesn't hold a whole batch, `micro_batches` splits each one, between its units. Their gradients add up
    to the batch's, within rounding; only trained batch normalisation sees them separately.

    The members of a `team` call this with the same arguments; each works on its parts of every batch, as if there were
    as many micro-batches as members, and all get the same results and weights.

    Raises:
        InputError: a fold has no known label to train on.
        ValueError: the numbers of heads and folds differ, several folds share a trained backbone, or the state to
            resume belongs to other folds.
    """
    _check(network, labels, folds, units)
    training = Trainer(network, source, labels, folds, recipe, device, micro_batches, units, team)
    if resume is None:
        training.normalise()
    else:
        training.load_state(resume)
    while training.epoch < recipe.training.epochs:
        yield training.next_epoch()


def fit_folds_apart(
    networks: Sequence[Network],
    source: Source,
    labels: np.ndarray,
    folds: Sequence[Fold],
    recipe: Recipe,
    *,
    device: torch.device,
    resume: dict[str, Any] | None = None,
    micro_batches: int = 1,
    units: Units = SLICES,
) -> Iterator[EpochResult]:
    """Train one network per fold, each with its own backbone and single head, taking turns epoch by epoch.

    Yields and raises the same as `fit`.
    """
    states = [None] * len(folds) if resume is None else resume["apart"]
    trainings = [
        fit(
            network,
            source,
            labels,
            [fold],
            recipe,
            device=device,
            resume=state,
            micro_batches=micro_batches,
            units=units,
        )
        for network, fold, state in zip(networks, folds, states, strict=True)
    ]
    for results in zip(*trainings, strict=True):
        yield merge(results)


def _check(network: Network, labels: np.ndarray, folds: Sequence[Fold], units: Units) -> None:
    if len(network.heads) != len(folds):
        raise ValueError(f"each fold needs one head, got {len(folds)} folds and {len(network.heads)} heads")
    if network.trained_backbone and len(folds) > 1:
        raise ValueError(f"{len(folds)} folds would share one trained backbone: use fit_folds_apart")
    for fold in folds:
        if np.isnan(labels[fold.train]).all():
            raise InputError(
                f"fold {fold.index}: none of its {len(fold.train)} training slices has a known label"
            )
        for rows in (fold.train, fold.valid):
            if units.batch(units.within(rows)).sizes.sum() != len(rows):
                raise ValueError(
                    f"fold {fold.index}: a part must consist of whole units, but cuts through some"
                )
