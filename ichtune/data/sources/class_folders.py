"""Images in a folder per class, as `torchvision.datasets.ImageFolder` wants them; the folder's name is the label."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ichtune.data.columns import label_of, plain
from ichtune.data.name_fits import without_suffix
from ichtune.data.options import PrepareOptions
from ichtune.data.sources.folder import files_below
from ichtune.data.sources.mask_files import is_mask
from ichtune.data.sources.slice_files import describe_others, may_be_slice
from ichtune.data.sources.source import Source, make_source
from ichtune.data.splits import TEST, TRAIN
from ichtune.errors import InputError
from ichtune.labels import ANY, LABELS, SUBTYPES

_SPLITS: Final = {
    **dict.fromkeys(("train", "training", "val", "valid", "validation"), TRAIN),
    **dict.fromkeys(("test", "testing"), TEST),
}
_SEVERAL: Final = ("multi", "multiple", "mixed")  # some bleeding, of more than one subtype
_DEEPEST: Final = 2  # levels below the source at which class folders are looked for
_NUMBER_FIRST: Final = re.compile(r"\d+(?=[_\-. ])")


def open_class_folders(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open images below folders such as `normal/` and `epidural/`, which may be below `train/` and `test/`.

    An image is positive for its own class, and negative for the other subtypes that have a folder; a subtype without
    a folder stays unknown.

    Raises:
        InputError: a table is given as well, or there are not two classes.
    """
    if labels is not None:
        raise InputError(f"{labels}: in the format folders the labels are the folders' names; omit --labels")
    files = sorted(files_below(root))
    slices = [file for file in files if may_be_slice(file)]
    classes = {file: _class_of(file) for file in slices if not is_mask(file)}
    known = {file: name for file, name in classes.items() if name}
    distinct = sorted({plain(name) for name in known.values()})
    if len(distinct) < 2:
        raise InputError(
            f"{root}: needs folders of at least two classes, such as normal and epidural; found "
            f"{', '.join(distinct) or 'none'}. If a CSV has the labels, pass it with --labels"
        )
    values = {name: _labels(name, distinct) for name in distinct}
    entries = pd.DataFrame(
        [values[plain(name)] for name in known.values()], columns=list(LABELS), dtype=np.float32
    ).assign(
        file=list(known), slice_id=list(map(without_suffix, known)), given_split=list(map(_split_of, known))
    )
    notes = [
        _described(known),
        *_unused(classes),
        *_masks(slices),
        *describe_others(set(files) - set(slices)),
        *_about_splits(entries, options),
        *_about_patients(known, options),
    ]
    return make_source("folders", root, entries, {}, options.grey_window, notes)


def has_class_folders(root: Path) -> bool:
    """Whether a folder, or one a little below it, such as `train/`, has folders of at least two classes."""
    for at, folders, _ in os.walk(root):
        if len({plain(name) for name in folders if _means(name)}) > 1:
            return True
        if len(Path(at).relative_to(root).parts) >= _DEEPEST:
            folders.clear()
    return False


def _class_of(file: str) -> str:
    """Return the innermost folder that names a class; empty if none does."""
    return next((part for part in reversed(file.split("/")[:-1]) if _means(part)), "")


def _means(folder: str) -> bool:
    return plain(folder) in _SEVERAL or label_of(plain(folder)) is not None


def _split_of(file: str) -> str:
    return next((_SPLITS[plain(part)] for part in file.split("/")[:-1] if plain(part) in _SPLITS), "")


def _labels(name: str, classes: list[str]) -> list[float]:
    """Return the six labels of a class, NaN if unknown."""
    exclusive = {column.label for other in classes if (column := label_of(other)) and not column.negated}
    values = {subtype: 0.0 if subtype in exclusive else np.nan for subtype in SUBTYPES}
    meant = label_of(name)
    if meant is not None and meant.negated and meant.label == ANY:
        values[ANY] = 0.0
    elif meant is None or meant.label == ANY:
        values = {ANY: 1.0}
    elif meant.negated:  # such as non_epidural, which may be another hemorrhage or none
        values = {meant.label: 0.0}
    else:
        values |= {meant.label: 1.0, ANY: 1.0}
    return [values.get(label, np.nan) for label in LABELS]


def _described(known: dict[str, str]) -> str:
    counts = Counter(known.values())
    return (
        "The folders' names are the labels: "
        + ", ".join(f"{name} ({count:,})" for name, count in sorted(counts.items()))
        + ". An image counts as free of the subtypes that have a folder of their own, unless its class leaves that "
        "open; subtypes without a folder are unknown."
    )


def _unused(classes: dict[str, str]) -> list[str]:
    without = Counter(
        file.rpartition("/")[0] or "the top folder" for file, name in classes.items() if not name
    )
    if not without:
        return []
    shown = ", ".join(f"{folder} ({count:,})" for folder, count in without.most_common(5))
    return [f"{without.total():,} images in folders that name no class were not used: {shown}."]


def _masks(slices: list[str]) -> list[str]:
    masks = [file for file in slices if is_mask(file)]
    return [f"{len(masks):,} images are masks by their names and were not used: {masks[0]}."] if masks else []


def _about_splits(entries: pd.DataFrame, options: PrepareOptions) -> list[str]:
    given = int((entries["given_split"] == TEST).sum())
    if not given or options.keep_split or options.all_test:
        return []
    return [
        f"{given:,} images are in a test folder, which was not kept as the test set; --keep-split keeps it."
    ]


def _about_patients(known: dict[str, str], options: PrepareOptions) -> list[str]:
    numbered = [file for file in known if _NUMBER_FIRST.match(file.rpartition("/")[2])]
    if options.patient or len(numbered) < len(known) / 2:
        return []
    return [
        f"File names begin with a number, as in {numbered[0]}; if that is the patient, say so with "
        r"--patient '(\d+)[^/]*$'."
    ]
