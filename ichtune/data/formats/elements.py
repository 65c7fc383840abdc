"""Elements of a DICOM header as text and numbers, without pydicom's own slower conversion where bytes will do."""

from functools import cache

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag


def text(ds: Dataset, keyword: str) -> str:
    """An element's text, several values parted by backslashes as in the file; empty where there is none."""
    raw = _bytes(ds, keyword)
    if raw is not None and raw.isascii():
        return raw.decode().strip("\0 ")
    value = ds.get(keyword)
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value or "").strip()


def count(ds: Dataset, keyword: str) -> int:
    """An element's unsigned 16-bit number; 0 where there is none."""
    raw = _bytes(ds, keyword)
    return int.from_bytes(raw, "little") if raw is not None and len(raw) == 2 else int(ds.get(keyword) or 0)


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
