"""The transforms of albumentations that an augmentation may have: their arguments checked, and built for a size."""

import inspect
import os
import random
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import ValidationError

from ichtune.recipe.refusals import rule_of
from ichtune.wording import did_you_mean, shown, unknown_key

if TYPE_CHECKING:
    import albumentations as A

COMPOSITIONS: Final = ("OneOf", "SomeOf", "Sequential")
"""Transforms of transforms."""
GEOMETRY: Final = (
    "Affine",
    "CropAndPad",
    "D4",
    "ElasticTransform",
    "GridDistortion",
    "HorizontalFlip",
    "OpticalDistortion",
    "Perspective",
    "RandomResizedCrop",
    "RandomRotate90",
    "Rotate",
    "SafeRotate",
    "ThinPlateSpline",
    "Transpose",
    "VerticalFlip",
)
GREY_VALUES: Final = (
    "AdvancedBlur",
    "Blur",
    "CLAHE",
    "Defocus",
    "Downscale",
    "Equalize",
    "GaussNoise",
    "GaussianBlur",
    "ImageCompression",
    "MedianBlur",
    "MotionBlur",
    "MultiplicativeNoise",
    "RandomBrightnessContrast",
    "RandomGamma",
    "RandomToneCurve",
    "Sharpen",
    "UnsharpMask",
    "ZoomBlur",
)
HOLES: Final = ("CoarseDropout", "Erasing", "GridDropout", "PixelDropout")
KINDS: Final = (*GEOMETRY, *GREY_VALUES, *HOLES, *COMPOSITIONS)
"""Those that make sense for grey images, keep their size, and need nothing but the image."""
_SIZED: Final = ("RandomResizedCrop",)  # resize what they cut out to a size, which is the model's
_PROBE: Final = 224  # the image side in pixels at which a transform is tried out

Arguments = Mapping[str, Any]
"""Arguments of a transform; those of a composition have `transforms`, pairs of a kind and its arguments."""


def build(kind: str, arguments: Arguments, size: int) -> "A.BasicTransform | A.BaseCompose":
    """Return the transform for images of `size` pixels a side.

    Raises:
        ValueError: albumentations refuses an argument.
    """
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else importing it checks for updates over the network
    import albumentations as A  # takes seconds, and few recipes have transforms of their own

    given = dict(arguments)
    if kind in COMPOSITIONS:
        given["transforms"] = [build(inner, theirs, size) for inner, theirs in given["transforms"]]
    elif kind in _SIZED:
        given["size"] = (size, size)
    return getattr(A, kind)(**given)


def check(kind: str, arguments: Arguments, place: str) -> None:
    """Try a transform out on an image; `place` names it in messages.

    Raises:
        ValueError: it is unknown, or it refuses an argument, or it doesn't keep an image's size; in one line.
    """
    known = _keys(kind)
    unknown = [unknown_key(key, place, known) for key in arguments if key not in known]
    if unknown:
        raise ValueError(unknown[0])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            transform = build(kind, arguments, _PROBE)
            _try_out(transform)
    except (ValueError, TypeError, UserWarning, ArithmeticError) as error:
        raise ValueError(f"{place}{_reason(error)}") from None


def check_kind(kind: object, place: str) -> None:
    """Refuse a transform that isn't one of `KINDS`.

    Raises:
        ValueError: in one line.
    """
    if kind not in KINDS:
        mend = did_you_mean(kind, KINDS) or f"; known are {', '.join(KINDS)}"
        raise ValueError(f"{place}: unknown transform {shown(kind)}{mend}")


@lru_cache
def _keys(kind: str) -> list[str]:
    """Return the arguments that a transform takes here; masks and key points are for other tasks."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations as A

    hidden = ("self", "strict", "size") if kind in _SIZED else ("self", "strict")
    names = inspect.signature(getattr(A, kind).__init__).parameters
    return [name for name in names if name not in hidden and "mask" not in name and "keypoint" not in name]


def _try_out(transform: "A.BasicTransform | A.BaseCompose") -> None:
    import albumentations as A

    whole = A.Compose([transform])
    transform.p = 1
    whole.set_random_state(np.random.default_rng(0), random.Random(0))
    image = np.random.default_rng(0).integers(0, 256, (2, _PROBE, _PROBE, 1), np.uint8)
    changed = whole(images=image)["images"]
    if changed.shape != image.shape or changed.dtype != image.dtype:
        side = " x ".join(map(str, changed.shape[1:3]))
        raise ValueError(f"must keep an image's size, but makes {side} of {_PROBE} x {_PROBE}")


def _reason(error: Exception) -> str:
    """Return `.limit: must be a number, got 'x'`, or `: ` and what the transform says itself."""
    cause = error.__cause__ or error.__context__
    if not isinstance(cause, ValidationError):
        return f": {' '.join(str(error).split())}"
    details = cause.errors(include_url=False)
    first = details[0]
    alike = [each for each in details if each["loc"][:1] == first["loc"][:1]]
    if first["type"] == "value_error":
        rules = str(first["ctx"]["error"])
    else:
        rules, *others = dict.fromkeys(rule_of(each) for each in alike)
        rules += "".join(f" or {other.removeprefix('must ')}" for other in others)
    if not first["loc"]:
        return f": {rules}"
    return f".{first['loc'][0]}: {rules}, got {shown(first['input'])}"
