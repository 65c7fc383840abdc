"""CSV that is safe to open in a spreadsheet: no text in it is a formula."""

from typing import Any, Final

import pandas as pd

from ichtune.safe_console import printable

_FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What formulas start with in Excel, LibreOffice or Google Sheets; the last four are full-width characters."""


def csv_text(frame: pd.DataFrame) -> str:
    """Return the frame as CSV, without its index.

    Text that a spreadsheet would take for a formula gets a leading apostrophe, and control characters become codes.
    Numbers stay as they are, including those stored as text.
    """
    safe = frame.rename(columns=_no_formula)
    for place, kind in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            texts = [_no_formula(value) for value in safe.iloc[:, place]]
            safe.isetitem(place, pd.Series(texts, index=safe.index, dtype=object))
    return printable(safe.to_csv(index=False))


def _no_formula(value: Any) -> Any:
    """Return a text with an apostrophe if it would be a formula; other values unchanged."""
    if not isinstance(value, str):
        return value
    formula = value.lstrip().startswith(_FORMULA) or value[:1] in ("\t", "\r", "\n")
    return f"'{value}" if formula and not _is_number(value) else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
