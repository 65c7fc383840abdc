"""Finds what there is to predict in a folder of DICOM files, NIfTI volumes or images, or in one such file."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zipfile import is_zipfile

import numpy as np

from ichtune.data.formats.image import is_image
from ichtune.data.formats.nifti import is_volume, without_volume_suffix
from ichtune.data.formats.nifti_header import read_header
from ichtune.data.formats.slice import Rejected
from ichtune.data.sources.folder import files_below
from ichtune.data.sources.mask_files import is_mask
from ichtune.data.sources.slice_files import describe_others, may_be_slice
from ichtune.data.workers import Workers
from ichtune.errors import InputError
from ichtune.prediction.chosen_series import choose_series
from ichtune.prediction.headers import read_headers, sizes_and_times
from ichtune.prediction.listing import ALONE, Ids, Listing, Names, Places
from ichtune.wording import plural

DICOM, IMAGE, VOLUME, MASK, OTHER = "divmo"
"""Kinds of files."""


def find_slices(
    given: Path, series: str, workers: Workers, report: Callable[[int, int], None] = lambda *_: None
) -> Listing:
    """List the slices in a folder or a single file, scan by scan; `report` receives the number of headers read.

    Raises:
        InputError: there is nothing to predict, or the choice of series can't be made.
    """
    if not given.exists():
        raise InputError(f"{given}: no such file or folder to predict")
    if given.is_file():
        if is_zipfile(given):
            raise InputError(f"{given}: a zip archive; unpack it, and name the folder")
        root, kinds = given.parent, _Kinds.of([given.name], anything=True)
    else:
        root, kinds = given, _Kinds.of(files_below(given))
    if not kinds.count:
        raise InputError(f"{given}: no DICOM, NIfTI, PNG or JPEG files here")
    if series != "auto" and not len(kinds.dicom):
        raise InputError(f"--series {series}: series are chosen for DICOM, and there is none here; omit it")
    headers = read_headers(root, kinds.dicom, workers, report)
    kept, notes = choose_series(root, kinds.dicom, headers, series)
    order = headers.order
    order = order[kept[order]]
    planes = _planes(root, kinds.volumes)
    slices = [
        _Slices.in_files(order, headers.scan),
        _Slices.in_files(np.arange(len(kinds.images)), np.full(len(kinds.images), ALONE)),
        _Slices.in_volumes(planes),
    ]
    firsts = np.cumsum([0, len(kinds.dicom), len(kinds.images)])
    places = Places(
        kinds.dicom + kinds.images + kinds.volumes,
        np.concatenate([first + part.file for first, part in zip(firsts, slices, strict=True)]).astype("i4"),
        np.concatenate([part.plane for part in slices]).astype("i4"),
    )
    slices[-1].scan[:] += len(headers.ids)
    scan = np.concatenate([part.scan for part in slices]).astype("i4")
    ids = [*headers.ids, *(Ids("", name, name) for name in map(without_volume_suffix, kinds.volumes))]
    stamp = headers.stamp + sizes_and_times(root, kinds.images + kinds.volumes)
    return Listing(root, places, scan, ids, (*notes, *headers.notes(order), *kinds.notes), stamp)


class _Slices(NamedTuple):
    """The slices of one kind of files: in which of these, which plane, and in which scan of the kind."""

    file: np.ndarray
    plane: np.ndarray
    scan: np.ndarray

    @classmethod
    def in_files(cls, order: np.ndarray, scan: np.ndarray) -> "_Slices":
        """Return files with a slice each, in this order."""
        return cls(order, np.full(len(order), -1), scan[order])

    @classmethod
    def in_volumes(cls, planes: list[int]) -> "_Slices":
        """Return volumes with so many planes, each a scan."""
        volume = np.repeat(np.arange(len(planes)), planes)
        first = np.repeat(np.cumsum(planes) - np.array(planes, int), planes)
        return cls(volume, np.arange(len(volume)) - first, volume.copy())


@dataclass(frozen=True)
class _Kinds:
    """The files of a folder by what they are, each kind in the order of names, and notes on those left out."""

    dicom: Names
    images: Names
    volumes: Names
    notes: list[str]

    @classmethod
    def of(cls, files: Iterable[str], *, anything: bool = False) -> "_Kinds":
        """Sort files; with `anything`, one of no known kind counts as DICOM, as do those without a suffix."""
        found = Names(files).sorted()
        kind = np.array([_kind(file, anything=anything) for file in found], "U1")
        dicom, images, volumes, masks, others = (
            found.take(np.flatnonzero(kind == which)) for which in (DICOM, IMAGE, VOLUME, MASK, OTHER)
        )
        notes = describe_others(others)
        if len(masks):
            notes.append(f"{plural(len(masks), 'mask', 'masks')} beside the scans, not used: {masks[0]}, ...")
        return cls(dicom, images, volumes, notes)

    @property
    def count(self) -> int:
        return len(self.dicom) + len(self.images) + len(self.volumes)


def _kind(file: str, *, anything: bool) -> str:
    if is_volume(file) or is_image(file):
        if is_mask(file) and not anything:
            return MASK
        return VOLUME if is_volume(file) else IMAGE
    return DICOM if anything or may_be_slice(file) else OTHER


def _planes(root: Path, volumes: Iterable[str]) -> list[int]:
    """Return the number of slices of each volume; 1 of one that can't be read, which is refused when it is read."""
    planes = []
    for file in volumes:
        try:
            planes.append(read_header(root / file).shape[0])
        except (Rejected, OSError):
            planes.append(1)
    return planes
