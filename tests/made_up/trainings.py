"""Small trainings on inputs in memory: heads on features, and a tiny backbone on images."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ichtune.models.heads import LinearHeads
from ichtune.models.network import Network
from ichtune.recipe import BCE, Adam, Model, Recipe, Training
from ichtune.training.batches import Fold
from ichtune.training.fit import fit
from ichtune.training.results import EpochResult

CPU = torch.device("cpu")
ROWS, WIDTH = 90, 12


class Inputs:
    """Inputs in memory, shifted a little in every epoch as an augmentation would."""

    def __init__(self, inputs: np.ndarray) -> None:
        self.inputs = torch.from_numpy(inputs.astype(np.float32))

    def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
        shift = 0.0 if epoch is None else 0.1 * (epoch + 1)
        return (self.inputs[torch.from_numpy(rows)] + shift for rows in chunks)


def some_labels() -> np.ndarray:
    rng = np.random.default_rng(1)
    labels = (rng.random((ROWS, 6)) < 0.3).astype(np.float32)
    labels[rng.random((ROWS, 6)) < 0.1] = np.nan
    return labels


LABELS = some_labels()
SOURCE = Inputs(np.random.default_rng(2).standard_normal((ROWS, WIDTH)))
# Training parts of 70, 49 and 30 rows: 5, 3 (a lone last row joins) and 2 batches of 16.
FOLDS = [
    Fold(0, np.arange(70), np.arange(70, 90)),
    Fold(1, np.arange(30, 79), np.arange(20)),
    Fold(3, np.arange(60, 90), np.arange(40, 55)),
]
RECIPE = Recipe(
    model=Model(dropout=0.3),
    loss=BCE(pos_weight="balanced"),
    optimizer=Adam(lr=0.02),
    training=Training(epochs=3, batch_size=16, seed=5),
)


def train(
    folds: Sequence[Fold] = FOLDS,
    recipe: Recipe = RECIPE,
    labels: np.ndarray = LABELS,
    resume: dict[str, Any] | None = None,
) -> list[EpochResult]:
    heads = LinearHeads(WIDTH, [fold.index for fold in folds], recipe.training.seed)
    return list(fit(Network(None, heads), SOURCE, labels, folds, recipe, device=CPU, resume=resume))


def with_part(**parts: Any) -> Recipe:
    return RECIPE.model_copy(update=parts)


def assert_same_numbers(result: EpochResult, other: EpochResult, **tolerance: float) -> None:
    assert result.epoch == other.epoch
    for name in ("train_loss", "lr", "mean_lr", "class_mix", "grad_norm", "trained_parameters"):
        np.testing.assert_allclose(getattr(result, name), getattr(other, name), err_msg=name, **tolerance)
    for name, values in result.metrics.items():
        np.testing.assert_allclose(values, other.metrics[name], err_msg=name, **tolerance)
    for logits, others in zip(result.logits, other.logits, strict=True):
        np.testing.assert_allclose(logits, others, **tolerance)


def fold_of(result: EpochResult, position: int) -> EpochResult:
    """What a result says of one fold."""
    one = slice(position, position + 1)
    arrays = ("train_loss", "lr", "mean_lr", "class_mix", "grad_norm", "trained_parameters")
    return replace(
        result,
        metrics={name: values[one] for name, values in result.metrics.items()},
        logits=result.logits[one],
        **{name: getattr(result, name)[one] for name in arrays},
    )


def saved_and_loaded(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


class TinyBackbone(nn.Module):
    """Images `[n, 1, 4, 4]` to `[n, 3]`, with batch statistics and random numbers of torch's own."""

    precision = "float32"

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)
        )
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.layers(images))

    def set_trained(self, train: str) -> None:
        self.requires_grad_(train == "all")

    def distances(self) -> dict[nn.Parameter, int]:
        """Two stages: the convolution with its norm, and the dense layer."""
        last = set(self.layers[4].parameters())
        return {parameter: 1 if parameter in last else 2 for parameter in self.parameters()}


IMAGES = Inputs(np.random.default_rng(3).standard_normal((ROWS, 1, 4, 4)))


def backbone(frozen: bool = False) -> TinyBackbone:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TinyBackbone().requires_grad_(not frozen)


def networks() -> list[Network]:
    return [Network(backbone(), LinearHeads(3, [fold.index], 5)) for fold in FOLDS]
