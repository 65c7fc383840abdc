"""What the header of one file says about its series."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from ichtune.data.formats.ct_header import refuse_what_is_no_ct_slice
from ichtune.data.formats.dicom import LONGEST_TEXT, dataset, millimetres
from ichtune.data.formats.elements import text
from ichtune.data.formats.size import read_bounded
from ichtune.data.formats.slice import Rejected, first_line
from ichtune.data.formats.stored_values import missing_codec


@dataclass(frozen=True)
class SeriesHeader:
    """A series as one of its files describes it; what the file doesn't say is empty or NaN."""

    patient_id: str = ""
    study_id: str = ""
    series_id: str = ""
    description: str = ""
    thickness_mm: float = math.nan
    kernel: str = ""
    contrast: str = ""
    """The contrast agent."""
    orientation: str = ""
    """ImageOrientationPatient as written: where rows and columns run in the patient (PS3.3 C.7.6.2.1.1)."""
    fault: str = ""
    """Why it holds no axial CT slices, as a localizer; empty if it does."""
    missing_codec: str = ""
    """Which codec its pixels need that isn't installed; empty if none."""


def read_series_header(path: Path) -> SeriesHeader:
    """Return the header of a file, with a `fault` if it isn't an axial CT slice or can't be read."""
    try:
        return series_header(read_bounded(path))
    except Rejected as why:
        return SeriesHeader(fault=str(why))
    except OSError as error:
        return SeriesHeader(fault=f"can't be read: {error.strerror or error}")


def series_header(content: bytes) -> SeriesHeader:
    """Return the header in a file's bytes, with a `fault` if it isn't an axial CT slice or can't be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = dataset(content)
            return SeriesHeader(
                patient_id=text(ds, "PatientID"),
                study_id=text(ds, "StudyInstanceUID"),
                series_id=text(ds, "SeriesInstanceUID"),
                description=text(ds, "SeriesDescription")[:LONGEST_TEXT],
                thickness_mm=millimetres(text(ds, "SliceThickness")),
                kernel=text(ds, "ConvolutionKernel").partition("\\")[0],
                contrast=text(ds, "ContrastBolusAgent"),
                orientation=text(ds, "ImageOrientationPatient"),
                fault=_fault(ds),
                missing_codec=missing_codec(ds) or "",
            )
    except Rejected as why:
        return SeriesHeader(fault=str(why))
    except Exception as error:  # whatever pydicom raises on a damaged value
        return SeriesHeader(fault=f"a value in its header can't be read: {first_line(error)}")


def _fault(ds: Dataset) -> str:
    try:
        refuse_what_is_no_ct_slice(ds)
    except Rejected as why:
        return str(why)
    return ""
