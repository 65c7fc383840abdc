"""Activation maps as the page lays them over slices."""

import cv2
import numpy as np

from ichtune.errors import InputError
from ichtune.inference.activation_maps import check_maps
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import ANY


def has_maps(model: TrainedModel) -> bool:
    """Whether each of a model's backbones has a layer with a grid of positions."""
    try:
        check_maps(model, ANY, "hirescam", None)
    except InputError:
        return False
    return True


def on_slice(found: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a map [S, S] of 0..1 on the slice [H, W] that was padded to a square for the model: uint8 [H, W]."""
    height, width = shape
    side = max(shape)
    grown = cv2.resize(found, (side, side), interpolation=cv2.INTER_LINEAR)
    top, left = (side - height) // 2, (side - width) // 2
    return np.rint(grown[top : top + height, left : left + width] * 255).astype(np.uint8)
