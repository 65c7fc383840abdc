"""From a slice's Hounsfield units to the image a network sees, at an augmentation level."""

import hashlib
import os
import random
import threading
from collections.abc import Callable, Sequence
from typing import Final

import cv2
import numpy as np

from ichtune.data.pixels import resize
from ichtune.recipe import Augmentation, Level, level_key
from ichtune.recipe.augmentation import LevelName
from ichtune.recipe.transforms import build
from ichtune.windows import Window, apply_window

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else importing it checks for updates over the network

import albumentations as A

REFERENCE_SIZE: Final = 224  # the image side in pixels that hole sizes refer to


class _Transforms(threading.local):
    """Transforms by level and size, separate for each thread because their random state is set per slice."""

    def __init__(self) -> None:
        self.built: dict[tuple[Level, int], A.Compose] = {}

    def get(self, level: Level, size: int) -> A.Compose:
        if (level, size) not in self.built:
            self.built[level, size] = A.Compose(_transforms(level, size), strict=True)
        return self.built[level, size]


_THREAD: Final = _Transforms()


def render(
    slices: Sequence[np.ndarray],
    windows: Sequence[Window],
    size: int,
    *,
    level: Level = "normal",
    seed: int = 0,
    view: int = 0,
    row: int = 0,
) -> np.ndarray:
    """Return the grey values of slices that are seen together, one channel per slice and window: uint8 [C, size, size].

    Each slice in Hounsfield units [S, S] (int16) is resized, windowed, and augmented depending only on (seed, level,
    view, row), where `row` is the row in its store of the slice that the image is of. All channels are augmented alike.
    The level `normal` changes nothing.
    """
    # Resizing one int16 image and windowing the small result is cheaper than the reverse, and averages HU.
    resized = [resize(hu, size) for hu in slices]
    channels = np.stack([_grey(hu, window) for hu in resized for window in windows])
    if level == "normal":
        return channels
    transform = _THREAD.get(level, size)
    key = _number(seed, level_key(level), view, row)
    # Not `set_random_seed`: it gives every transform the same stream, so either all of them act on a slice or none.
    transform.set_random_state(np.random.default_rng(key), random.Random(key))
    # As a batch of one-channel images: with windows as colours, CLAHE would mix them through LAB.
    return transform(images=channels[..., np.newaxis])["images"][..., 0]


def describe(level: Level, size: int) -> list[str]:
    """Return a level's transforms at an image size, each with its settings, in the order of use."""
    return [repr(transform) for transform in _transforms(level, size)]


def _transforms(level: Level, size: int) -> list[A.BasicTransform | A.BaseCompose]:
    if isinstance(level, Augmentation):
        return [build(kind, arguments, size) for kind, arguments in level.transforms]
    return _LEVELS[level](size)


def _grey(hu: np.ndarray, window: Window) -> np.ndarray:
    return np.rint(apply_window(hu, window) * 255).astype(np.uint8)


def _number(*key: object) -> int:
    text = "/".join(map(str, key)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


# Moderate and aggressive as in the seven-part ResNet-18 study on the RSNA 2019 data.
def _moderate(size: int) -> list[A.BasicTransform | A.BaseCompose]:
    return [*_geometry(), _brightness(0.05), _tone(), _holes(7, 7, size)]


def _aggressive(size: int) -> list[A.BasicTransform | A.BaseCompose]:
    # 0.8 and 1.1 are OpenCV's default sigmas for kernels of 3 and 5 pixels.
    blur = A.GaussianBlur(blur_limit=(3, 5), sigma_limit=(0.8, 1.1), p=0.2)
    return [*_geometry(), blur, _brightness(0.15), _tone(), _holes(17, 26, size)]


def _geometry() -> list[A.BasicTransform]:
    return [
        A.Rotate(limit=(-15, 15), border_mode=cv2.BORDER_CONSTANT, fill=0, p=0.5),
        A.HorizontalFlip(p=0.5),
    ]


def _brightness(limit: float) -> A.BasicTransform:
    both = (-limit, limit)
    return A.RandomBrightnessContrast(brightness_limit=both, contrast_limit=both, p=0.3)


def _tone() -> A.BaseCompose:
    clahe = A.CLAHE(clip_limit=(1, 3), tile_grid_size=(8, 8), p=1)
    return A.OneOf([clahe, A.RandomGamma(gamma_limit=(80, 120), p=1)], p=0.5)


def _holes(smallest: int, largest: int, size: int) -> A.BasicTransform:
    """Three to six black rectangles with sides of `smallest` to `largest` pixels in an image of 224."""
    low, high = (max(1, round(side * size / REFERENCE_SIZE)) for side in (smallest, largest))
    sides = (low, high)
    return A.CoarseDropout(
        num_holes_range=(3, 6), hole_height_range=sides, hole_width_range=sides, fill=0, p=0.5
    )


_LEVELS: Final[dict[LevelName, Callable[[int], list]]] = {
    "normal": lambda size: [],
    "moderate": _moderate,
    "aggressive": _aggressive,
}
