"""Time of an epoch of frozen-backbone training: five folds side by side, one alone, and heads that read scans.

    python benchmarks/heads.py

Prints JSON: milliseconds per epoch (training, validation and metrics) for 1 and 5 folds, their ratio, and the stages
of a five-fold epoch timed separately; and the epoch of five folds of each other kind of head with its defaults,
relative to that of the linear one. One CPU thread, 1,200 training and 300 validation slices per fold in scans of 30,
512 features, batches of 64 slices, dropout 0.3; the best of several runs, in which the kinds take turns.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch

from ichtune.labels import LABELS
from ichtune.metrics import evaluate
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.recipe import GRU, LSTM, MLP, Attention, Conv, Head, Linear, Model, Recipe, Training
from ichtune.training.batches import Fold, in_batches, side_by_side
from ichtune.training.dropout import DropoutMasks
from ichtune.training.fit import fit
from ichtune.training.losses import make_loss
from ichtune.training.optimizers import make_optimizer
from ichtune.training.units import SLICES, ScanUnits

ROWS, SCAN, WIDTH, FOLDS, EPOCHS, RUNS = 1500, 30, 512, 5, 10, 7
HEADS: tuple[Head, ...] = (Linear(), MLP(), GRU(), LSTM(), Attention(), Conv())
SCANS = ScanUnits(
    np.arange(ROWS), np.arange(0, ROWS + 1, SCAN), np.arange(ROWS) // SCAN, np.ones(ROWS, dtype=bool)
)
CPU = torch.device("cpu")
RECIPE = Recipe(model=Model(dropout=0.3), training=Training(epochs=EPOCHS, batch_size=64))


class Features:
    """Features in memory or mapped, the same in every epoch."""

    def __init__(self, features: torch.Tensor) -> None:
        self.features = features

    def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
        return (self.features.index_select(0, torch.from_numpy(rows)).float() for rows in chunks)


def folds_of(parts: Sequence[np.ndarray]) -> list[Fold]:
    """Return folds that each validate on one of these parts of the rows and train on the others."""
    return [
        Fold(index, np.concatenate([*parts[:index], *parts[index + 1 :]]), valid)
        for index, valid in enumerate(parts)
    ]


def best_ms(run: Callable[[], object], times: int = RUNS) -> float:
    """Return the milliseconds of the fastest of several runs."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds) * 1e3


def epoch_ms(source: Features, labels: np.ndarray, folds: list[Fold], head: Head = RECIPE.head) -> float:
    recipe = RECIPE.model_copy(update={"head": head})
    heads = make_heads(recipe, WIDTH, [fold.index for fold in folds])
    units = SCANS if head.reads_scans else SLICES
    epochs = fit(Network(None, heads), source, labels, folds, recipe, device=CPU, units=units)
    return best_ms(lambda: next(epochs), times=EPOCHS)


def by_head(source: Features, labels: np.ndarray, folds: list[Fold]) -> dict[str, float]:
    """Return the time of an epoch with each kind of head, relative to the linear one."""
    runs = [[epoch_ms(source, labels, folds, head) for head in HEADS] for _ in range(RUNS)]
    linear, *others = np.min(runs, axis=0)
    return {head.name: float(ms / linear) for head, ms in zip(HEADS[1:], others, strict=True)}


def parts_ms(source: Features, labels: np.ndarray, folds: list[Fold]) -> dict[str, float]:
    """Return the time of each stage of an epoch, run separately."""
    steps = side_by_side(
        [
            [SLICES.batch(batch) for batch in in_batches(fold.train, RECIPE.training.batch_size)]
            for fold in folds
        ]
    )
    network = Network(None, make_heads(RECIPE, WIDTH, range(len(folds))))
    optimizers = [
        make_optimizer(RECIPE.optimizer, network.trained_parameters(head)) for head in range(len(folds))
    ]
    loss = make_loss(RECIPE.loss, [labels[fold.train] for fold in folds], CPU)
    dropout = DropoutMasks(RECIPE.model.dropout, range(len(folds)), seed=0, epoch=0)
    inputs = list(source.batches([step.rows.reshape(-1) for step in steps], 0))
    targets = [torch.from_numpy(labels[step.rows]) for step in steps]
    masks = [dropout.draw(step.counts, WIDTH) for step in steps]

    def learn() -> None:
        for batch, mask, target in zip(inputs, masks, targets, strict=True):
            loss(network(batch, mask), target).sum().backward()

    def step() -> None:
        for _ in steps:
            for optimizer in optimizers:
                optimizer.step()

    probs = np.random.default_rng(0).random((len(folds[0].valid), len(LABELS)))
    return {
        "gather": best_ms(lambda: list(source.batches([step.rows.reshape(-1) for step in steps], 0))),
        "dropout_masks": best_ms(lambda: [dropout.draw(step.counts, WIDTH) for step in steps]),
        "forward_backward": best_ms(learn),
        "optimizer": best_ms(step),
        "metrics": best_ms(lambda: [evaluate(probs, labels[fold.valid]) for fold in folds]),
    }


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    source = Features(torch.from_numpy(rng.standard_normal((ROWS, WIDTH)).astype(np.float32)))
    labels = (rng.random((ROWS, len(LABELS))) < 0.2).astype(np.float32)
    parts = [SCANS.batch(scans).rows for scans in np.array_split(rng.permutation(ROWS // SCAN), FOLDS)]
    folds = folds_of(parts)
    epoch = {count: min(epoch_ms(source, labels, folds[:count]) for _ in range(RUNS)) for count in (1, FOLDS)}
    figures = {
        "folds": FOLDS,
        "epoch_ms_1_fold": epoch[1],
        "epoch_ms_5_folds": epoch[FOLDS],
        "ratio": epoch[FOLDS] / epoch[1],
        "epoch_of_5_folds_relative_to_linear": by_head(source, labels, folds),
        "parts_ms_5_folds": parts_ms(source, labels, folds),
        "parts_ms_1_fold": parts_ms(source, labels, folds[:1]),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
