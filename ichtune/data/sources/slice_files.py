"""Which files of a folder may be slices, by their names alone."""

import re
from collections.abc import Iterable
from typing import Final

from ichtune.data.formats.image import is_image

_DICOM_SUFFIXES: Final = (".dcm", ".dicom", ".ima")
# A UID, whose last part looks like a suffix, with or without the modality before it: CT.1.2.840.113619.2.55.
_UID: Final = re.compile(r"(?:[A-Za-z]{2,6}\.)?\d+(?:\.\d+){3,}")
# What lies beside the slices on CDs and in downloads, without a suffix.
_COMPANIONS: Final = {
    *("dicomdir", "readme", "license", "licence", "copying", "copyright", "notice", "authors", "version"),
    *("changelog", "changes", "install", "makefile", "lockfile", "autorun", "md5sums", "sha256sums"),
}
_SHOWN: Final = 3  # names that a note lists


def may_be_dicom(file: str) -> bool:
    """Whether a path is that of a DICOM file by its suffix, or by having none."""
    name = file.rpartition("/")[2].strip()
    if "." not in name:
        return name.lower() not in _COMPANIONS
    return is_named_as_dicom(file)


def is_named_as_dicom(file: str) -> bool:
    """Whether a path has the suffix of a DICOM file, or a UID for a name; a newline may follow."""
    name = file.rpartition("/")[2].strip()
    return name.lower().endswith(_DICOM_SUFFIXES) or bool(_UID.fullmatch(name))


def may_be_slice(file: str) -> bool:
    """Whether a path is that of a PNG, JPEG or DICOM file."""
    return is_image(file) or may_be_dicom(file)


def describe_others(files: Iterable[str]) -> list[str]:
    """Return a note on files that aren't slices, apart from tables; none if there are no such files."""
    others = sorted(file for file in files if not file.strip().lower().endswith(".csv"))
    if not others:
        return []
    more = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
    count = f"{len(others):,} other files" if len(others) > 1 else "1 other file"
    return [f"{count}, not used: {', '.join(others[:_SHOWN])}{more}."]
