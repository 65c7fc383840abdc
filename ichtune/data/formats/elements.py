"""Elements of a DICOM header as text and numbers, avoiding pydicom's slower conversion where possible."""

import math
import re
from functools import cache

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from ichtune.data.formats.slice import Rejected

# A decimal string (PS3.5 6.2, VR DS). Python's float() also accepts "nan", "inf" and "1_000", which aren't.
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def text(ds: Dataset, keyword: str) -> str:
    """Return an element's text, with several values separated by backslashes as in the file; empty if missing."""
    element = ds.get_item(_tag(keyword))
    if element is None:
        return ""
    raw = _bytes(element)
    if raw is not None and raw.isascii():
        return raw.decode().strip("\0 ")
    value = ds.get(keyword)
    if isinstance(value, MultiValue):
        return "\\".join(map(str, value))
    return "" if value is None else str(value).strip("\0 ")


def count(ds: Dataset, keyword: str, missing: int | None = None) -> int:
    """Return an element's unsigned 16-bit number (or a signed one that pydicom converts); `missing` if absent.

    Raises:
        Rejected: it isn't a single whole number, or it is absent and `missing` is None.
    """
    element = ds.get_item(_tag(keyword))
    value = None if element is None else _bytes(element)
    if element is not None and value is None:
        value = ds.get(keyword)
    if isinstance(value, bytes) and len(value) == 2:
        return int.from_bytes(value, "little")
    if isinstance(value, bytes) and value:
        value = ds.get(keyword)
    if value in (None, "", b""):
        if missing is None:
            raise Rejected(f"no {keyword}")
        return missing
    if not isinstance(value, int):
        raise Rejected(f"{keyword} is {str(value)[:40]!r}, not one whole number")
    return value


def decimal(ds: Dataset, keyword: str) -> float:
    """Return an element's text as a finite number.

    Raises:
        Rejected: it is missing, or isn't a single finite number.
    """
    found = text(ds, keyword)
    number = finite(found)
    if number is None:
        raise Rejected(f"{keyword} is {found[:40]!r}, not a finite number" if found else f"no {keyword}")
    return number


def finite(decimal_string: str) -> float | None:
    """Return the value of a decimal string; None if it isn't a number, or is too large for a float."""
    stripped = decimal_string.strip(" \0")
    if not _DECIMAL.fullmatch(stripped):
        return None
    number = float(stripped)
    return number if math.isfinite(number) else None


_tag = cache(Tag)  # a keyword's tag, looked up once


def _bytes(element: object) -> bytes | None:
    """Return an element's raw value from the file; None if pydicom must convert it.

    Having pydicom convert all the elements that a slice needs takes nearly as long as reading the file.
    """
    plain = isinstance(element, RawDataElement) and element.is_little_endian
    return element.value if plain and isinstance(element.value, bytes) else None
