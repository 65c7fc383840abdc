"""Elements of a DICOM header as text and numbers, without pydicom's own slower conversion where bytes will do."""

import math
import re
from functools import cache

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from ichtune.data.formats.slice import Rejected

# A decimal string (PS3.5 6.2, VR DS). Python's float() also takes "nan", "inf" and "1_000", which are none.
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def text(ds: Dataset, keyword: str) -> str:
    """An element's text, several values separated by backslashes as in the file; empty where there is none."""
    raw = _bytes(ds, keyword)
    if raw is not None and raw.isascii():
        return raw.decode().strip("\0 ")
    value = ds.get(keyword)
    if isinstance(value, MultiValue):
        return "\\".join(map(str, value))
    return "" if value is None else str(value).strip("\0 ")


def count(ds: Dataset, keyword: str, missing: int | None = None) -> int:
    """An element's unsigned 16-bit number (a signed one's, if pydicom converts it); `missing` where there is none.

    Raises:
        Rejected: it is no single whole number, or there is none and no value for `missing`.
    """
    value = _bytes(ds, keyword)
    if value is None:
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
    """The finite number that an element's text stands for.

    Raises:
        Rejected: it is missing, or no single finite number.
    """
    found = text(ds, keyword)
    number = finite(found)
    if number is None:
        raise Rejected(f"{keyword} is {found[:40]!r}, not a finite number" if found else f"no {keyword}")
    return number


def finite(decimal_string: str) -> float | None:
    """The number that a decimal string stands for; None where it is no number, or one too large for a float."""
    stripped = decimal_string.strip(" \0")
    if not _DECIMAL.fullmatch(stripped):
        return None
    number = float(stripped)
    return number if math.isfinite(number) else None


_tag = cache(Tag)  # a keyword's tag, looked up once


def _bytes(ds: Dataset, keyword: str) -> bytes | None:
    """An element's value as it lies in the file; None where pydicom must make sense of it.

    pydicom's own conversion of all the elements that a slice needs takes nearly as long as reading the file.
    """
    try:
        element = ds.get_item(_tag(keyword))
    except KeyError:
        return None
    plain = isinstance(element, RawDataElement) and element.is_little_endian
    return element.value if plain and isinstance(element.value, bytes) else None
