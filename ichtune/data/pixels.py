"""A slice's Hounsfield units, from whatever size to the store's square."""

import hashlib
from typing import Final

import cv2
import numpy as np

AIR_HU: Final = -1000


def digest(pixels: np.ndarray) -> int:
    """The first 8 bytes of the SHA-256 of a slice's pixels as they are stored (<i2 [S, S]), a little-endian number."""
    return int.from_bytes(hashlib.sha256(pixels.data).digest()[:8], "little")


def square(hu: np.ndarray) -> np.ndarray:
    """`hu` [H, W] (int16) in the middle of the smallest square, the rest filled with air."""
    height, width = hu.shape
    if height == width:
        return hu
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = np.full((side, side), AIR_HU, np.int16)
    padded[top : top + height, left : left + width] = hu
    return padded


def resize(hu: np.ndarray, size: int) -> np.ndarray:
    """`hu` [S, S] (int16) as [size, size]: by area when it shrinks, linearly when it grows."""
    if hu.shape == (size, size):
        return hu
    shrinks = hu.shape[0] > size
    return cv2.resize(hu, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
