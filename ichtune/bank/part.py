"""Parts of the feature bank: a frozen backbone's features of every slice in one view, and what they depend on."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ichtune.arrays import map_array
from ichtune.bank.engines.kinds import TORCH
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.recipe import SMALL, Level, Model, Precision, level_key
from ichtune.windows import Window

FORMAT: Final = 1
FEATURES: Final = "features.npy"
MOST_KEY_BYTES: Final = 100_000

MEND: Final = "delete the folder to recompute its features"


class BankError(InputError):
    """A bank that is missing, damaged, or computed from other inputs."""


@dataclass(frozen=True)
class BankKey:
    """Everything that a part's features depend on."""

    format: int
    store: str
    rows: str
    backbone: str
    weights: str
    windows: tuple[str, ...]
    neighbours: int
    size: int
    precision: Precision
    level: Level
    augmentation: tuple[str, ...]
    seed: int | None
    view: int
    versions: tuple[str, ...]
    engine: str = TORCH

    @property
    def text(self) -> str:
        """The content of `key.json`."""
        plain = asdict(self) | {"level": level_key(self.level)}
        # Keys of earlier versions lack both.
        if not self.neighbours:
            del plain["neighbours"]
        if self.engine == TORCH:
            del plain["engine"]
        return json.dumps(plain, indent=2, sort_keys=True) + "\n"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class BankPart:
    """One view of one level through one backbone: float16 `[count, width]`, in a folder of its own.

    The level `normal` has every slice of the store; the other levels have those outside the test set.
    """

    store: str | Path
    """Path or URI."""
    bank: Path
    """The folder of all parts of the store."""
    key: BankKey
    model: Model
    seed: int
    count: int
    width: int

    @property
    def folder(self) -> Path:
        return self.bank / self.key.digest

    @property
    def file(self) -> Path:
        return self.folder / FEATURES

    @property
    def checksum(self) -> Path:
        """The file with the features' SHA-256, written before the features."""
        return self.folder / "features.sha256"


def bank_model(model: Model) -> Model:
    """Return only what a model's features depend on: no head, nothing trained, windows as numbers."""
    widths = model.widths if model.backbone in SMALL else None
    windows = (Window.parse(text) for text in model.windows)
    numeric = tuple(f"{window.center:g}/{window.width:g}" for window in windows)
    return model.model_copy(
        update={"windows": numeric, "dropout": 0.0, "widths": widths, "block_dropout": 0.0, "train": "frozen"}
    )


def part_rows(store: SliceStore, level: Level) -> np.ndarray:
    """Return the store's rows (int64) that a level's parts hold, in order."""
    return np.arange(len(store)) if level == "normal" else store.train


def is_finished(part: BankPart) -> bool:
    """Whether the part's features exist.

    Raises:
        BankError: they are damaged.
    """
    if not part.file.is_file():
        return False
    open_features(part)
    return True


def open_features(part: BankPart) -> np.ndarray:
    """Memory-map the features of a finished part, float16 `[count, width]`; writing to them doesn't change the file.

    Raises:
        BankError: they are missing, truncated, or have another key.
    """
    if not part.file.is_file():
        raise BankError(
            f"{part.bank}: the bank of {part.store} has no features from {part.key.backbone}, {part.key.level}, "
            f"view {part.key.view} (folder {part.folder.name}); build the bank first"
        )
    check_key(part)
    try:
        features = map_array(part.file, "c")
    except (OSError, ValueError, EOFError) as error:
        raise BankError(f"{part.file}: damaged ({error}); {MEND}") from error
    if features.shape != (part.count, part.width) or features.dtype != np.float16:
        raise BankError(
            f"{part.file}: holds {features.dtype} {features.shape}; must be float16 {(part.count, part.width)}; "
            f"{MEND}"
        )
    return features


def check_key(part: BankPart) -> None:
    """Refuse a folder whose `key.json` is not the part's own.

    Raises:
        BankError: it is missing or describes other features.
    """
    file = part.folder / "key.json"
    if not file.is_file() or file.stat().st_size > MOST_KEY_BYTES or file.read_text() != part.key.text:
        raise BankError(f"{file}: missing, or describes other features; {MEND}")
