"""Fitting a slice's Hounsfield units, of any size, to the store's square."""

import hashlib
from typing import Final

import cv2
import numpy as np

AIR_HU: Final = -1000


def digest(pixels: np.ndarray) -> int:
    """Return the first 8 bytes of the SHA-256 of a slice's stored pixels (<i2 [S, S]) as a little-endian number."""
    return int.from_bytes(hashlib.sha256(pixels.data).digest()[:8], "little")


def square(hu: np.ndarray) -> np.ndarray:
    """Return `hu` [H, W] (int16) centered in the smallest square, padded with air."""
    height, width = hu.shape
    if height == width:
        return hu
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = np.full((side, side), AIR_HU, np.int16)
    padded[top : top + height, left : left + width] = hu
    return padded


def resize(hu: np.ndarray, size: int) -> np.ndarray:
    """Resize `hu` [S, S] (int16) to [size, size]: by area when shrinking, linearly when growing."""
    if hu.shape == (size, size):
        return hu
    shrinks = hu.shape[0] > size
    return cv2.resize(hu, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
