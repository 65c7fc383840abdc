"""The options of a retraining."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from analysis.calibration.wanted import Wanted
from ichtune.options import option


@dataclass(frozen=True)
class RetrainOptions:
    """Which recipe to retrain, and what to change in it; None keeps the search's setting.

    With `head` `warm`, training starts from the search's own head for the fold; with `fresh`, from a new random one.
    """

    rank: int = option(1, "Rank of the recipe to retrain.", min=1)
    trial: str | None = option(None, "The recipe of this trial instead, by its name or number.")
    top: int = option(
        1, "Retrain the recipes of this many ranks, from --rank on, as models of their own.", min=1
    )
    train: Literal["frozen", "last", "all"] = option(
        "all",
        "How much of the backbone to train; frozen: nothing, keep the search's own model.",
        recipe_key="model.train",
    )
    head: Literal["warm", "fresh"] = option(
        "warm", "warm: start from the search's own head; fresh: from a new one."
    )
    fold: int = option(0, "Validation fold for early stopping; the others are for training.", min=0)
    folds: int | None = option(
        None, "Train on this many folds instead, and keep all models together as an ensemble.", min=2
    )
    seeds: int = option(1, "Train this many times with other random seeds, and keep all together.", min=1)
    soup: bool = option(
        False, "Also average the weights of the seeds that together score best out of fold (greedy soup)."
    )
    final: bool = option(
        False, "Also train a single model on all folds, for the epochs that the folds found best."
    )
    workers: int = option(
        1, "Processes (one per GPU, if there are any) that share each training's batches.", min=1
    )
    address: str | None = option(None, "Ray cluster for several trainings at once (default: a local Ray).")
    epochs: int | None = option(None, "Epochs (default: the recipe's).", min=1, recipe_key="training.epochs")
    patience: int | None = option(
        None, "Patience (default: the recipe's).", min=1, recipe_key="training.patience"
    )
    lr: float | None = option(
        None, "Learning rate (default: a tenth of a frozen recipe's).", recipe_key="optimizer.lr"
    )
    size: int | None = option(
        None, "Side length of the images in pixels (default: the recipe's).", min=32, recipe_key="model.size"
    )
    batch_size: int | None = option(
        None, "Batch size (default: the recipe's).", min=1, recipe_key="training.batch_size"
    )
    calibration: Literal["platt", "temperature", "none"] = option(
        "platt", "How to calibrate each label's probabilities on out-of-fold predictions."
    )
    thresholds: Literal["f1", "fixed"] | None = option(
        None, "f1: the threshold of each label with the highest F1 (default); fixed: 0.5."
    )
    sensitivity: float | None = option(
        None, "Choose the highest threshold of each label that reaches this sensitivity instead, e.g. 0.95."
    )
    label: str | None = option(None, "Name of the model (default: e.g. rank1-all).")
    factors: Mapping[str, Sequence[object]] = field(default_factory=dict)
    """Settings, by option or by key, of which every combination is trained."""
    changes: Mapping[str, object] = field(default_factory=dict)
    """Other settings by key, e.g. `loss.name`; `metric` is the one that chooses the best epoch."""

    @property
    def wanted(self) -> Wanted:
        """How to calibrate the model and choose its thresholds.

        Raises:
            InputError: the options contradict one another.
        """
        return Wanted(self.calibration, self.thresholds, self.sensitivity)
