"""A recipe put together: its network, its source of inputs and its folds, as a generator of epochs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ichtune.bank.features import FeatureSource
from ichtune.bank.part import BankPart, bank_model
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.models.precision import resolved
from ichtune.recipe import Recipe
from ichtune.training.batches import Fold
from ichtune.training.fit import fit, fit_folds_apart
from ichtune.training.results import EpochResult

if TYPE_CHECKING:
    from ichtune.inputs.images import ImageSource


@dataclass(frozen=True)
class Experiment:
    """What all trials of a search share: the store, its bank, the folds to score on, and the bank's seed."""

    store: Path
    parts: tuple[BankPart, ...]
    folds: int
    seed: int
    """Seeds augmentation and random weights; a recipe's own seed is for its training."""

    def epochs(
        self,
        recipe: Recipe,
        *,
        device: torch.device,
        threads: int,
        resume: dict[str, Any] | None = None,
        micro_batches: int = 1,
    ) -> Iterator[EpochResult]:
        """Train a recipe on every fold and give one result an epoch; the test set is never touched.

        See `fit` for `resume` and `micro_batches`.
        """
        store = open_store(self.store)
        folds = folds_of(store, self.folds)
        if recipe.model.train == "frozen":
            source = self.features(recipe)
            network = Network(None, make_heads(recipe, source.width, [fold.index for fold in folds]))
            return fit(
                network,
                source,
                store.labels,
                folds,
                recipe,
                device=device,
                resume=resume,
                micro_batches=micro_batches,
            )
        networks = [self.network(recipe, fold) for fold in folds]
        images = self.images(recipe, threads)
        return fit_folds_apart(
            networks,
            images,
            store.labels,
            folds,
            recipe,
            device=device,
            resume=resume,
            micro_batches=micro_batches,
        )

    def features(self, recipe: Recipe) -> FeatureSource:
        """The cached features that a recipe with a frozen backbone trains on."""
        model, level = bank_model(recipe.model), recipe.augmentation
        precision = resolved(recipe.training.precision)
        needed = [
            part
            for part in self.parts
            if part.model == model and part.key.precision == precision and part.key.level in ("normal", level)
        ]
        return FeatureSource.open(open_store(self.store), needed, level)

    def images(self, recipe: Recipe, threads: int) -> "ImageSource":
        """The augmented images that a recipe trains a backbone on, each epoch with a view of its own."""
        from ichtune.inputs.images import ImageSource  # trials on features start faster without it

        return ImageSource(
            open_store(self.store).hu,
            recipe.model,
            recipe.augmentation,
            seed=self.seed,
            views=recipe.training.epochs,
            threads=threads,
        )

    def network(self, recipe: Recipe, fold: Fold) -> Network:
        """A backbone and one head, as a fold of its own starts with."""
        from ichtune.models.backbones import build_backbone  # and without torchvision

        backbone = build_backbone(recipe.model, seed=self.seed, precision=recipe.training.precision)
        return Network(backbone, make_heads(recipe, backbone.width, [fold.index]))


@lru_cache(maxsize=1)
def open_store(path: Path) -> SliceStore:
    """The store, opened once in a process that trains many trials on it."""
    return SliceStore.open(path)


def folds_of(store: SliceStore, count: int) -> Sequence[Fold]:
    """The first `count` folds of a store, each validated on and trained on all of the others.

    Raises:
        InputError: the store has fewer.
    """
    if not store.info.folds:
        raise InputError(
            f"{store.path}: holds test slices alone (made with --all-test), so nothing can be trained on it; "
            "`ichtune prepare` without --all-test makes a store with folds"
        )
    if not 1 <= count <= store.info.folds:
        raise InputError(
            f"--folds: {store.path} has {store.info.folds} folds, so take 1 to {store.info.folds}, got {count}; "
            "`ichtune prepare --folds` makes a store with more"
        )
    pairs = store.fold_indices()[:count]
    return [Fold(index, train, valid) for index, (train, valid) in enumerate(pairs)]
