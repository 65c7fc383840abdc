"""What a training of a whole network costs beyond the network itself.

    python benchmarks/retrain.py STORE [--backbones resnet18 efficientnet_lite0] [--size 224] [--slices 256]

Prints JSON: images per second of each way, the median over rounds in which the ways take turns, and `ratio`, the
median over rounds of its rate divided by the bare loop's in the same round.

- `loop`: a plain PyTorch loop over the same network, optimizer and precision, with the images already in memory.
- `ours`: an epoch of `fit` on augmented images that are rendered on the way.
- `ours, cold`: the same, with the store dropped from the page cache before.
- `ours, five folds` (`--folds`): folds taking turns, which share the rendered images.

On a GPU, `loop` is the pure rate of forward and backward passes.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.nn import functional

from ichtune.data.store import SliceStore
from ichtune.inputs.images import ImageSource
from ichtune.models.backbones import build_backbone
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.recipe import Adam, Model, Recipe, Training
from ichtune.training.batches import Fold
from ichtune.training.fit import fit, fit_folds_apart
from ichtune.training.optimizers import make_optimizer

BATCH = 32


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


Way = Callable[[SliceStore, Recipe, np.ndarray], float]
"""Trains on rows of a store, and returns images per second."""


def recipe_of(backbone: str, size: int) -> Recipe:
    # Random weights cost the same as trained ones, and need no download.
    model = Model(backbone=backbone, weights="random", size=size, train="all")
    training = Training(epochs=1, batch_size=BATCH)
    return Recipe(model=model, optimizer=Adam(lr=1e-4), augmentation="moderate", training=training)


def network_of(recipe: Recipe, fold: int = 0) -> Network:
    backbone = build_backbone(recipe.model, seed=0, precision="auto")
    return Network(backbone, make_heads(recipe, backbone.width, [fold])).to(device())


def source_of(store: SliceStore, recipe: Recipe, *, shared: bool = False) -> ImageSource:
    threads = len(os.sched_getaffinity(0))
    return ImageSource(
        store.hu, recipe.model, recipe.augmentation, seed=0, views=1, threads=threads, shared=shared
    )


def synchronized() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def loop(store: SliceStore, recipe: Recipe, rows: np.ndarray) -> float:
    """Return the images per second of a bare loop over images in memory."""
    [images] = source_of(store, recipe).batches([rows], 0)
    images, labels = images.to(device()), torch.from_numpy(np.nan_to_num(store.labels[rows])).to(device())
    network = network_of(recipe).train()
    optimizer = make_optimizer(recipe.optimizer, network.trained_parameters(0))
    begun = synchronized()
    for batch, its in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        functional.binary_cross_entropy_with_logits(network(batch)[0], its).backward()
        optimizer.step()
        optimizer.zero_grad()
    return len(rows) / (synchronized() - begun)


def ours(store: SliceStore, recipe: Recipe, rows: np.ndarray) -> float:
    network, source = network_of(recipe), source_of(store, recipe)
    fold = Fold(0, rows, rows[:0])
    begun = synchronized()
    list(fit(network, source, store.labels, [fold], recipe, device=device()))
    return len(rows) / (synchronized() - begun)


def cold(store: SliceStore, recipe: Recipe, rows: np.ndarray) -> float:
    for file in store.path.rglob("*.npy"):
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    return ours(store, recipe, rows)


def five_folds(store: SliceStore, recipe: Recipe, rows: np.ndarray) -> float:
    folds = [
        Fold(number, np.setdiff1d(rows, held), held[:0])
        for number, held in enumerate(np.array_split(rows, 5))
    ]
    networks = [network_of(recipe, fold.index) for fold in folds]
    source = source_of(store, recipe, shared=True)
    begun = synchronized()
    list(fit_folds_apart(networks, source, store.labels, folds, recipe, device=device()))
    return sum(len(fold.train) for fold in folds) / (synchronized() - begun)


def measure(
    store: SliceStore, recipe: Recipe, rows: np.ndarray, ways: Mapping[str, Way], rounds: int
) -> dict[str, dict[str, float]]:
    """Return the figures of each way, among them `loop`."""
    loop(store, recipe, rows[: 2 * BATCH])  # warm up
    turns = [{way: run(store, recipe, rows) for way, run in ways.items()} for _ in range(rounds)]
    return {
        way: {
            "images_per_second": round(median(each[way] for each in turns), 1),
            "ratio": round(median(each[way] / each["loop"] for each in turns), 3),
        }
        for way in ways
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--backbones", nargs="+", default=["resnet18", "efficientnet_lite0"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--slices", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folds", action="store_true")
    arguments = parser.parse_args()
    store = SliceStore.open(arguments.store.absolute())
    rows = np.random.default_rng(0).permutation(len(store.labels))[: arguments.slices]
    ways: dict[str, Way] = {"loop": loop, "ours": ours, "ours, cold": cold}
    ways |= {"ours, five folds": five_folds} if arguments.folds else {}
    figures = {
        backbone: measure(store, recipe_of(backbone, arguments.size), rows, ways, arguments.rounds)
        for backbone in arguments.backbones
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
