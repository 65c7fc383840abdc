"""What a retraining is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ichtune.options import option


@dataclass(frozen=True)
class RetrainOptions:
    """Which recipe to train again, and what to change in it; None leaves a setting as the search had it.

    `head` is `warm` to start from the search's own head of the fold, `fresh` to start from a newly drawn one.
    """

    rank: int = option(1, "Which recipe of the ranking.", min=1)
    train: Literal["last", "all"] = option(
        "all", "How much of the backbone to train.", recipe_key="model.train"
    )
    head: Literal["warm", "fresh"] = option("warm", "Start from the search's own head, or from a new one.")
    fold: int = option(0, "The fold to stop early by; the others are trained on.", min=0)
    epochs: int | None = option(None, "Epochs (default: the recipe's).", min=1, recipe_key="training.epochs")
    patience: int | None = option(
        None, "Patience (default: the recipe's).", min=1, recipe_key="training.patience"
    )
    lr: float | None = option(
        None, "Learning rate (default: a tenth of a frozen recipe's).", recipe_key="optimizer.lr"
    )
    size: int | None = option(
        None, "Pixels along a side (default: the recipe's).", min=32, recipe_key="model.size"
    )
    batch_size: int | None = option(
        None, "Batch size (default: the recipe's).", min=1, recipe_key="training.batch_size"
    )
    label: str | None = option(None, "Name of the result (default: rank1-all).")
    changes: Mapping[str, object] = field(default_factory=dict)
    """Other settings by key, as `loss.name`; `metric` is what the best epoch goes by."""
