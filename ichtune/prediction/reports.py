"""A DICOM structured report for each scan of a prediction, in a folder."""

from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ichtune.data.formats.nifti import is_volume
from ichtune.data.formats.slice import first_line
from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.prediction.algorithm import Algorithm
from ichtune.prediction.by_scan import scans_of
from ichtune.wording import plural


class Reported(NamedTuple):
    """How many reports were written, and the series of scans without one, each with the reason."""

    reports: int
    failures: list[tuple[str, str]]

    @property
    def notes(self) -> list[str]:
        """What the user should know."""
        if not self.failures:
            return []
        series, why = self.failures[0]
        count = plural(len(self.failures), "scan", "scans")
        return [f"{count} without a structured report (the first: {series or 'no series'}: {why})."]


def refuse_without_highdicom(folder: Path) -> None:
    """Refuse to begin if reports can't be written in the end.

    Raises:
        InputError: highdicom isn't installed.
    """
    if find_spec("highdicom") is None:
        raise InputError(f"--dicom-sr {folder}: needs highdicom; install it with pip install 'ichtune[sr]'")


def write_reports(folder: Path, root: Path, parts: Iterable[pd.DataFrame], algorithm: Algorithm) -> Reported:
    """Write `SERIES.dcm` for each scan of tables of predictions whose files, DICOM below `root`, have valid UIDs."""
    from ichtune.prediction.structured_report import structured_report

    folder.mkdir(parents=True, exist_ok=True)
    written, failures = set(), []
    for scan in scans_of(parts):
        if is_volume(scan["file"].iloc[0]):
            continue
        series = scan["series_id"].iloc[0]
        try:
            read = scan[scan["reason"] == ""]
            headers = [_header(root / file) for file in read["file"]]
            _refuse_unfit(headers)
            if series in written:
                raise ValueError("another scan has the same SeriesInstanceUID")
            with replacing(folder / f"{series}.dcm") as beside:
                structured_report(read, headers, algorithm, len(scan) - len(read)).save_as(beside)
            written.add(series)
        except Exception as error:  # whatever pydicom and highdicom raise on a header that lacks something
            failures.append((series, first_line(error)))
    return Reported(len(written), failures)


def _header(path: Path) -> Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True, force=True)


def _refuse_unfit(headers: list[Dataset]) -> None:
    if not headers:
        raise ValueError("no slice of it can be read")
    for header in headers:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
            found = str(header.get(keyword, ""))
            if not UID(found).is_valid:
                raise ValueError(
                    f"its {keyword} is {found!r}, which is no UID, and a report must refer to it"
                )
    uid, count = Counter(header.SOPInstanceUID for header in headers).most_common(1)[0]
    if count > 1:
        raise ValueError(
            f"{count} of its files have the SOPInstanceUID {uid}, so a report can't refer to one"
        )
