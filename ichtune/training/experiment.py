"""Training of a recipe: sets up its network, inputs and folds, and yields its epochs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ichtune.bank.features import FeatureSource
from ichtune.bank.part import BankPart, bank_model
from ichtune.cross_validation import CrossValidation
from ichtune.data.partitions import partitions
from ichtune.data.splits import fold_rows
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.models.heads import HeadState, make_heads
from ichtune.models.network import Network
from ichtune.models.precision import resolved
from ichtune.recipe import Head, Recipe
from ichtune.training.batches import Fold
from ichtune.training.fit import fit, fit_folds_apart
from ichtune.training.results import EpochResult
from ichtune.training.units import SLICES, ScanUnits, Units

if TYPE_CHECKING:
    from ichtune.inputs.images import ImageSource


@dataclass(frozen=True)
class Experiment:
    """What all trials of a search share: the store, its bank, the folds to score on, and a seed."""

    store: str | Path
    parts: tuple[BankPart, ...]
    validation: CrossValidation
    seed: int
    """Seed of augmentation and random weights; a recipe has its own seed for training."""

    @property
    def all_folds(self) -> Sequence[Fold]:
        """The folds of every round."""
        return folds_of(open_store(self.store), self.validation)

    def epochs(
        self,
        recipe: Recipe,
        *,
        device: torch.device,
        threads: int,
        resume: dict[str, Any] | None = None,
        micro_batches: int = 1,
        heads: Sequence[HeadState] | None = None,
    ) -> Iterator[EpochResult]:
        """Train a recipe on every fold and yield one result per epoch; never touches the test set.

        Each fold's head starts as given by `heads`, or random. See `fit` for `resume` and `micro_batches`.

        Raises:
            ValueError: a head given is of another kind or width.
        """
        store = open_store(self.store)
        folds, units = self.all_folds, units_of(store, recipe.head)
        if recipe.model.train == "frozen":
            source = self.features(recipe)
            network = Network(None, make_heads(recipe, source.width, [fold.index for fold in folds]))
            for place, head in enumerate(heads or ()):
                network.heads.load(place, head)
            return fit(
                network,
                source,
                store.labels,
                folds,
                recipe,
                device=device,
                resume=resume,
                micro_batches=micro_batches,
                units=units,
            )
        networks = [self.network(recipe, fold) for fold in folds]
        for network, head in zip(networks, heads or (), strict=False):
            network.heads.load(0, head)
        images = self.images(recipe, threads, shared=len(folds) > 1)
        return fit_folds_apart(
            networks,
            images,
            store.labels,
            folds,
            recipe,
            device=device,
            resume=resume,
            micro_batches=micro_batches,
            units=units,
        )

    def features(self, recipe: Recipe) -> FeatureSource:
        """Return the cached features that a recipe with a frozen backbone trains on."""
        model, level = bank_model(recipe.model), recipe.augmentation
        precision = resolved(recipe.training.precision)
        needed = [
            part
            for part in self.parts
            if part.model == model and part.key.precision == precision and part.key.level in ("normal", level)
        ]
        return FeatureSource.open(open_store(self.store), needed, level)

    def images(self, recipe: Recipe, threads: int, *, shared: bool = False) -> "ImageSource":
        """Return the augmented images that a recipe trains its backbone on, with a new view in each epoch.

        If several folds train on them in turn (`shared`), images of the same view are rendered once for all, as far as
        memory allows.
        """
        from ichtune.inputs.images import ImageSource  # trials on features start faster without this import

        store = open_store(self.store)
        return ImageSource(
            store.hu,
            recipe.model,
            recipe.augmentation,
            scans=store.scans,
            seed=self.seed,
            views=recipe.training.epochs,
            threads=threads,
            shared=shared,
        )

    def network(self, recipe: Recipe, fold: Fold) -> Network:
        """Return an untrained backbone and head for a fold that trains alone.

        Random weights differ between training seeds, as everything random does that is trained.
        """
        from ichtune.models.backbones import build_backbone  # likewise without torchvision

        seed = self.seed + fold.round // self.validation.partitions
        backbone = build_backbone(
            recipe.model,
            seed=seed,
            precision=recipe.training.precision,
            batch_norm=recipe.finetuning.batch_norm,
        )
        network = Network(backbone, make_heads(recipe, backbone.width, [fold.index]))
        for number, phase in enumerate(recipe.phases or (), start=1):
            try:
                network.set_trained(phase.train)
            except ValueError as error:
                raise InputError(f"phases.{number}.train: {recipe.model.backbone} {error}") from None
        return network


@lru_cache(maxsize=1)
def open_store(path: str | Path) -> SliceStore:
    """Open the store, once per process that trains many trials on it."""
    return SliceStore.open(path)


def units_of(store: SliceStore, head: Head) -> Units:
    """Return what a head reads at a time: single slices, or the scans of the store.

    Raises:
        InputError: the head reads scans, and the store knows none.
    """
    if not head.reads_scans:
        return SLICES
    units = scans_of(store)
    if units.largest == 1:
        raise InputError(
            f"head: {head.name} reads whole scans, but {store.path} has no two slices with a position in a known "
            "series; use linear or mlp (--set head.name=linear), or prepare the store from files or tables with series"
        )
    return units


@lru_cache(maxsize=1)
def scans_of(store: SliceStore) -> ScanUnits:
    """Return the scans of a store, grouped once per process."""
    return ScanUnits.of(store.scans)


def folds_of(store: SliceStore, validation: CrossValidation) -> Sequence[Fold]:
    """Return the folds of each round of a cross-validation; each validates on itself and trains on all others.

    Fold k of round r has the index `r * folds + k`, on which its random numbers depend, and the store's own partition
    comes first. So two rounds with the same partition are trainings with different seeds. With fewer folds than
    the store has, every partition holds out only some of the patients (Burman's repeated learning-testing).

    Raises:
        InputError: the store has fewer folds, or not so many partitions.
    """
    count = validation.folds
    if not store.info.folds:
        raise InputError(
            f"{store.path}: contains only test slices (made with --all-test), so nothing can be trained on it; "
            "`ichtune prepare` without --all-test makes a store with folds"
        )
    if not 1 <= count <= store.info.folds:
        raise InputError(
            f"--folds: {store.path} has {store.info.folds} folds; must be 1 to {store.info.folds}, got {count}; "
            "`ichtune prepare --folds` makes a store with more"
        )
    parted = [list(fold_rows(fold, count)) for fold in partitions(store, validation.partitions)]
    each_round = [(partition, rows) for _ in range(validation.seeds) for partition, rows in enumerate(parted)]
    return [
        Fold(of * count + number, train, valid, partition, of)
        for of, (partition, rows) in enumerate(each_round)
        for number, (train, valid) in enumerate(rows)
    ]
