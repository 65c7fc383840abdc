"""RSNA 2019: a folder of `ID_*.dcm` with a long CSV."""

from pathlib import Path

import pandas as pd

from ichtune.data.dicom import looks_like_dicom
from ichtune.data.label_tables import read_long
from ichtune.data.sources.folder import files_below, only_csv, stem
from ichtune.data.sources.source import NO_FILE, NO_LABELS, Source, make_source
from ichtune.data.windows import Window
from ichtune.errors import InputError


def open_rsna(root: Path, labels: Path | None, window: Window) -> Source:
    """`ID_*.dcm` beside or below a long CSV of `ID,Label`."""
    table = labels or only_csv(root)
    values, wrong = read_long(table)
    folder = root / table.stem if (root / table.stem).is_dir() else root
    files = pd.Series(
        sorted(name for name in files_below(folder) if name.lower().endswith(".dcm")), dtype=str
    )
    if files.empty:
        raise InputError(f"{folder}: no .dcm files here; is it the folder of the slices that {table} labels?")
    ids = files.map(stem)
    entries = values.reindex(ids).reset_index(names="slice_id").assign(file=files)
    known = ids.isin(values.index)
    unlabeled = files[~known & ~ids.isin(wrong.index)]
    reasons = {
        **{file: wrong[stem(file)] for file in files[ids.isin(wrong.index)]},
        **{file: _why_without_labels(folder / file) for file in unlabeled},
        **dict.fromkeys((f"{name}.dcm" for name in values.index.difference(ids)), NO_FILE),
        **{f"{name}.dcm": f"{NO_FILE}; {wrong[name]}" for name in wrong.index.difference(ids)},
    }
    return make_source("rsna", folder, entries[known.to_numpy()], reasons, window)


def _why_without_labels(path: Path) -> str:
    return NO_LABELS if looks_like_dicom(path) else "not a DICOM file (and without labels)"
