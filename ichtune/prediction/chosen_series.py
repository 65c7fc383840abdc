"""The series of DICOM studies that are predicted: one of each study, as `prepare` chooses them."""

from pathlib import Path
from typing import Final

import numpy as np

from ichtune.data.formats.series_header import read_series_header
from ichtune.data.sources.scan_entries import describe_absent
from ichtune.data.sources.series import ONE_OF, Series, choose, describe_choice
from ichtune.prediction.headers import Headers
from ichtune.prediction.listing import Names

ALL: Final = "all"


def choose_series(root: Path, files: Names, headers: Headers, wish: str) -> tuple[np.ndarray, list[str]]:
    """Return which files to predict (bool [N]), and notes on the series that were chosen and left out.

    A study without a usable series keeps all, so that each of its files is named with what is wrong with it.

    Raises:
        InputError: `wish` is no regular expression.
    """
    kept = np.ones(len(files), bool)
    if wish == ALL:
        return kept, []
    studies = _studies(headers, several=wish in ONE_OF)
    order = np.argsort(headers.scan, kind="stable")
    starts = np.searchsorted(headers.scan[order], np.arange(len(headers.ids) + 1))
    candidates, chosen, none = [], [], []
    for (_, study), scans in studies.items():
        rows = [order[starts[scan] : starts[scan + 1]] for scan in scans]
        series = [_series(root, files, study, own) for own in rows]
        taken = choose(series, wish)
        if not taken and all(one.header.fault for one in series):
            continue
        if not taken:
            none.append(study)
        candidates += series
        chosen += taken
        for one, own in zip(series, rows, strict=True):
            kept[own] = one in taken
    absent = describe_absent({f"Studies without a series that --series {wish} matches, left out": none})
    listed = "--series all takes them as well."
    return kept, [*absent, *(describe_choice(candidates, chosen, wish, listed) if chosen else [])]


def _studies(headers: Headers, *, several: bool) -> dict[tuple[str, str], list[int]]:
    """Return the scans of each study; with `several`, only of studies that have more than one."""
    studies: dict[tuple[str, str], list[int]] = {}
    for number, ids in enumerate(headers.ids):
        if ids.study_id:
            studies.setdefault((ids.patient_id, ids.study_id), []).append(number)
    return {study: scans for study, scans in studies.items() if len(scans) > several}


def _series(root: Path, files: Names, study: str, rows: np.ndarray) -> Series:
    names = tuple(files.take(rows))
    header = read_series_header(root / names[len(names) // 2])
    return Series(study, names[0].rpartition("/")[0], names, header)
