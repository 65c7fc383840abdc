"""The options of fine-tuning a model on another store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ichtune.options import option


@dataclass(frozen=True)
class FinetuneOptions:
    """How a model is trained on; None keeps the model's own setting."""

    epochs: int | None = option(None, "Epochs (default: the model's recipe's).", min=1)
    lr_factor: float = option(0.1, "Learning rate as a factor of the model's recipe's.")
    metric: str = option("auc", "Metric that chooses the best epoch on the validation fold.")
    fold: int = option(0, "Validation fold of the new store; the others are for training.", min=0)
    seed: int = option(0, "Random seed of the training.", min=0)
    out: Path | None = option(None, "Folder of the new model (default: MODEL/finetuned-STORE).")
    changes: Mapping[str, object] = field(default_factory=dict)
    """Other settings by key, e.g. `loss.name`."""
