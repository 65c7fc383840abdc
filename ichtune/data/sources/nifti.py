"""NIfTI volumes in general, labelled by voxel masks or by a table."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from ichtune.data.formats.image import is_image
from ichtune.data.formats.nifti import is_volume
from ichtune.data.mask_classes import parse_mask_classes
from ichtune.data.options import PrepareOptions
from ichtune.data.sources.folder import files_below, only_csv
from ichtune.data.sources.mask_files import Paired, pair_masks
from ichtune.data.sources.masks import BINARY, labels_of, read_masks, settle_classes
from ichtune.data.sources.slice_files import describe_others
from ichtune.data.sources.source import Source, make_source
from ichtune.data.sources.volume_tables import open_table
from ichtune.data.sources.volumes import Volumes, ids_of
from ichtune.errors import InputError
from ichtune.labels import LABELS, SUBTYPES

NO_MASK = "a volume without a mask"


def open_nifti(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open a folder of `.nii` and `.nii.gz` with masks, or with a table of slices or of volumes."""
    files = sorted(files_below(root))
    volumes = [file for file in files if is_volume(file)]
    if not volumes:
        raise InputError(f"{root}: no .nii or .nii.gz files here")
    paired = pair_masks(volumes)
    if labels is None and any(paired.masks.values()):
        source = _open_masks(root, paired, options)
    else:
        source = open_table(root, labels or _only_csv(root), paired, options)
    return replace(source, notes=(*source.notes, *describe_others(set(files) - set(volumes))))


def has_volumes(root: Path) -> bool:
    """Whether a folder has NIfTI volumes, and no DICOM files or images."""
    found = False
    for file in files_below(root):
        if is_image(file) or file.lower().endswith(".dcm"):
            return False
        found |= is_volume(file)
    return found


def _only_csv(root: Path) -> Path:
    try:
        return only_csv(root)
    except InputError as error:
        raise InputError(
            f"{error}; or put a mask of each volume, of the same name, into a folder named masks"
        ) from None


def _open_masks(root: Path, paired: Paired, options: PrepareOptions) -> Source:
    volumes = Volumes.read(root, paired.masks)
    masks = {file: mask for file, mask in paired.masks.items() if mask and file in volumes.headers}
    found, unusable = read_masks(root, masks, volumes.headers)
    classes = settle_classes(found.values(), parse_mask_classes(options.mask_classes), root)
    entries: list[dict[str, object]] = []
    for file, mask in found.items():
        for place, six in zip(volumes.places(file), labels_of(mask, classes).tolist(), strict=True):
            entries.append({**place._asdict(), **ids_of(place), **dict(zip(LABELS, six, strict=True))})
    reasons = paired.rejected | volumes.rejected
    for file in set(volumes.headers) - set(found):
        reasons |= volumes.reasons(file, reasons.pop(file, "") or unusable.get(file, NO_MASK))
    table = pd.DataFrame(entries, columns=None if entries else ["file", "slice_id"])
    source = make_source("nifti", root, table, reasons, options.grey_window, _notes(root, classes))
    return replace(source, heeds=("mask_classes",))


def _notes(root: Path, classes: dict[int, str]) -> list[str]:
    meaning = ", ".join(f"{value} is {label}" for value, label in sorted(classes.items()))
    notes = [f"Labels come from the masks: {meaning}."]
    if set(SUBTYPES).isdisjoint(classes.values()):
        notes.append(BINARY)
    if tables := sorted(path.name for path in root.glob("*.csv")):
        notes.append(f"{tables[0]} was not read; to take the labels from it, pass it with --labels.")
    return notes
