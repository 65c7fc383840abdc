"""Options of `ichtune prepare`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ichtune.options import option


@dataclass(frozen=True)
class PrepareOptions:
    """Options for preparing a store, apart from its source.

    With `all_test` there are only test slices, and `test_fraction` and `folds` are ignored.
    """

    labels: Path | None = option(None, "CSV with the labels (default: the one in SOURCE).")
    format: Literal["auto", "rsna", "ct-ich", "images"] = option("auto", "Layout of SOURCE.")
    size: int = option(256, "Pixels along a side of a stored slice.", min=32, max=1024)
    window: str = option("40/80", "Window that 8-bit images were made with.", metavar="C/W")
    test_fraction: float = option(0.2, "Share of the slices to test on.", min=0, max=0.5)
    folds: int = option(5, "Folds of the slices outside the test set.", min=2, max=20)
    all_test: bool = option(
        False, "Only test slices, without folds: for an external test set or one patient."
    )
    seed: int = option(0, "Random seed of the splits.", min=0)
    workers: int | None = option(None, "Number of reading processes (default: one per core).", min=1)
    hash_ids: bool = option(False, "Replace identifiers with salted hashes.")
    max_rejected: float = option(0.05, "Largest share of slices that may be rejected.", min=0, max=1)
    overwrite: bool = option(False, "Replace a finished store.")
