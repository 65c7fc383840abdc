"""Reading one CT slice from an 8-bit PNG or JPEG made with a display window."""

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ichtune.data.formats.size import read_bounded, refuse_size
from ichtune.data.formats.slice import CTSlice, Rejected
from ichtune.windows import Window, undo_window


def is_image(name: str) -> bool:
    """Whether a file's name is that of a PNG or JPEG; a newline may follow."""
    return name.strip().lower().endswith((".png", ".jpg", ".jpeg"))


def read_image(path: Path, window: Window) -> CTSlice:
    """Return the slice in an 8-bit image, with grey values converted back to HU (int16 [H, W]).

    Raises:
        Rejected: the file isn't an image, or is truncated, too large, in colour, or has more than 8 bits (whose HU
            are unknown).
        OSError: the file can't be opened.
    """
    return CTSlice(hu=undo_window(_grey(path), window))


def _grey(path: Path) -> np.ndarray:
    content = read_bounded(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings about odd metadata don't matter here
        try:
            image = Image.open(BytesIO(content), formats=("PNG", "JPEG"))
            refuse_size(image.height, image.width)
            image.load()
        except UnidentifiedImageError as error:
            raise Rejected("not a readable PNG or JPEG image") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise Rejected(f"the image is truncated or damaged: {error}") from error
    if image.mode.startswith(("I", "F")):
        raise Rejected("an image of more than 8 bits: its Hounsfield units are unknown; use the DICOM file")
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    rgb = np.asarray(image.convert("RGB"))
    if (rgb != rgb[..., :1]).any():
        raise Rejected("a colour image")
    return rgb[..., 0]
