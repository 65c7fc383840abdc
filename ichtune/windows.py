"""CT display windows, from Hounsfield units to grey values in 0..1."""

from typing import NamedTuple

import numpy as np

from ichtune.errors import InputError


class Window(NamedTuple):
    """A display window, center and width in HU."""

    center: float
    width: float

    @property
    def low(self) -> float:
        return self.center - self.width / 2

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Parse the name of a preset (`brain`) or `C/W` (`40/80`).

        Raises:
            InputError: it is neither, or the width isn't positive.
        """
        if text in WINDOWS:
            return WINDOWS[text]
        try:
            center, width = (float(part) for part in text.split("/"))
        except ValueError:
            known = ", ".join(WINDOWS)
            raise InputError(f"window {text!r} is neither C/W (e.g. 40/80) nor one of {known}") from None
        if not (np.isfinite(center) and np.isfinite(width) and width > 0):
            raise InputError(f"window {text!r}: center and width must be finite and the width above zero")
        return cls(center, width)


# Center/width in HU as commonly used for head CT; subdural and soft are from the 2nd place solution of RSNA 2019.
WINDOWS = {
    "brain": Window(40, 80),
    "subdural": Window(80, 200),
    "soft": Window(40, 380),
    "stroke": Window(40, 40),
    "bone": Window(600, 2800),
}


def apply_window(hu: np.ndarray, window: Window) -> np.ndarray:
    """Return grey values in 0..1 (float32, the shape of `hu`): 0 at or below the window's lower edge."""
    grey = (hu.astype(np.float32) - window.low) / window.width
    return np.clip(grey, 0.0, 1.0, out=grey)


def undo_window(grey: np.ndarray, window: Window) -> np.ndarray:
    """Return the HU (int16) of grey values in 0..255 made by `window`; clipped values stay at its edges."""
    hu = grey.astype(np.float32) * (window.width / 255) + window.low
    return np.rint(hu).astype(np.int16)
