"""The options of an evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ichtune.options import option

Split = Literal["test", "validation", "train", "all"]


@dataclass(frozen=True)
class EvaluateOptions:
    """Which slices to evaluate, and where the results go."""

    split: Split | None = option(
        None, "Which slices (default: the test set of the model's own store, all of any other)."
    )
    out: Path | None = option(
        None,
        "Folder for the results (default: MODEL/evaluation/STORE-SPLIT; for several models or stores, ./evaluation).",
    )
