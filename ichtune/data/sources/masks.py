"""Labels of slices from voxel masks: a slice is positive for a class if any of its voxels has it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ichtune.data.formats.nifti import read_values
from ichtune.data.formats.nifti_header import VolumeHeader, read_header
from ichtune.data.formats.slice import Rejected
from ichtune.data.mask_classes import EXAMPLE, NOTHING
from ichtune.errors import InputError
from ichtune.labels import ANY, LABELS, SUBTYPES

THREADS: Final = 2  # decompressing leaves Python free; more would hold more volumes in memory
_ONE_CLASS: Final = ({1}, {255})
BINARY: Final = "The labels are binary: only 'any' is known, the five subtypes are missing values."


@dataclass(frozen=True)
class Mask:
    """The whole numbers other than 0 in each slice of a mask, from the feet up."""

    values: list[frozenset[int]]

    @property
    def marked(self) -> np.ndarray:
        """Whether a slice has any, bool [planes]."""
        return np.array([bool(found) for found in self.values])


def read_masks(
    root: Path, masks: dict[str, str], headers: dict[str, VolumeHeader], *, by_voxels: bool = False
) -> tuple[dict[str, Mask], dict[str, str]]:
    """Return the masks of volumes, and why others can't be used, both by the volume's file.

    With `by_voxels`, a mask in another place than its volume is laid over the volume's stored voxels.
    """
    found: dict[str, Mask] = {}
    rejected: dict[str, str] = {}

    def read(volume: str) -> Mask | str:
        try:
            return _read_mask(root / masks[volume], headers[volume], by_voxels)
        except Rejected as why:
            return f"its mask {masks[volume]!r} can't be used: {why}"
        except OSError as error:
            return f"its mask {masks[volume]!r} can't be read: {error.strerror or error}"

    with ThreadPoolExecutor(THREADS) as pool:
        for volume, result in zip(masks, pool.map(read, masks), strict=True):
            if isinstance(result, str):
                rejected[volume] = result
            else:
                found[volume] = result
    return found, rejected


def describe_unusable(unusable: dict[str, str]) -> list[str]:
    """Return a note on masks that can't be compared with a table, if there are any."""
    first = next(iter(unusable.values()), "")
    note = f"{len(unusable):,} masks could not be compared with the table (the first: {first})."
    return [note] if unusable else []


def settle_classes(masks: Iterable[Mask], given: dict[int, str], root: Path) -> dict[int, str]:
    """Return the label of each value: as given, or `any` for masks of a single value, 1 or 255.

    Raises:
        InputError: a value has no label.
    """
    values = frozenset[int]().union(*(found for mask in masks for found in mask.values))
    if not given and (values in _ONE_CLASS or not values):
        return dict.fromkeys(values or {1}, ANY)
    if unknown := sorted(values - set(given)):
        shown = ", ".join(map(str, sorted(values)[:20]))
        raise InputError(
            f"{root}: its masks have the values {shown}, and {unknown[0]} has no label; name each, with {NOTHING} for "
            f"what is no hemorrhage, such as --mask-classes {EXAMPLE}"
        )
    return given


def labels_of(mask: Mask, classes: dict[int, str]) -> np.ndarray:
    """Return the labels of a mask's slices, float32 [planes, 6] in LABELS' order, NaN where unknown.

    A slice without a value is negative for the labels that the classes have, and for `any` if they have all subtypes
    or `any` itself. Blood of an unknown subtype, `any`, leaves the subtypes unknown.
    """
    known = set(classes.values())
    labels = np.full((len(mask.values), len(LABELS)), np.nan, np.float32)
    for label in known & set(LABELS):
        labels[:, LABELS.index(label)] = 0
    if known >= set(SUBTYPES):
        labels[:, LABELS.index(ANY)] = 0
    for plane, values in enumerate(mask.values):
        found = {classes[value] for value in values} - {NOTHING}
        if ANY in found:
            labels[plane] = np.nan
        for label in found:
            labels[plane, [LABELS.index(label), LABELS.index(ANY)]] = 1
    return labels


def _read_mask(path: Path, volume: VolumeHeader, by_voxels: bool) -> Mask:
    try:
        header = read_header(path)
        _refuse_elsewhere(header, volume)
    except Rejected:
        if not by_voxels:
            raise
        header = read_header(path, over=volume)
    return Mask([_values(plane, header) for plane in read_values(path, header)])


def _refuse_elsewhere(mask: VolumeHeader, volume: VolumeHeader) -> None:
    if mask.shape != volume.shape:
        sizes = [" x ".join(map(str, one.shape[::-1])) for one in (mask, volume)]
        raise Rejected(f"it has {sizes[0]} voxels, its volume {sizes[1]}")
    if not mask.same_place(volume):
        raise Rejected("it lies elsewhere than its volume: their affines differ")


def _values(plane: np.ndarray, header: VolumeHeader) -> frozenset[int]:
    scaled = plane[plane != 0] if header.unscaled else plane.ravel() * header.slope + header.intercept
    found = np.unique(scaled)
    if not np.isfinite(found).all() or (found != np.rint(found)).any() or (np.abs(found) >= 2**31).any():
        raise Rejected("its values are not whole numbers")
    return frozenset(int(value) for value in found if value != 0)
