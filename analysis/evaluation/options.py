"""The options of an evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from ichtune.errors import InputError
from ichtune.options import option
from ichtune.wording import not_one_of

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

    @classmethod
    def of(cls, split: str | None) -> "EvaluateOptions":
        """The options with a split by its name.

        Raises:
            InputError: there is no such split.
        """
        if split is not None and split not in get_args(Split):
            raise InputError(f"split: {not_one_of(split, get_args(Split))}")
        return cls(cast("Split | None", split))
