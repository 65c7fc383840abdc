"""`slices.parquet`: the table of a store's slices, checked against its metadata before allocating memory."""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ichtune.errors import InputError
from ichtune.labels import LABELS


class StoreError(InputError):
    """A folder that isn't a store, or a store that is damaged or of another version."""


SCAN_LABELS: Final = {label: f"scan_{label}" for label in LABELS}
"""The column with a scan's label, repeated for each of its slices, by label; for sources that label whole scans."""
_TEXTS: Final = ("slice_id", "patient_id", "study_id", "series_id", "split", "source", "series_description")
REQUIRED: Final = (*_TEXTS[:4], "z_mm", *LABELS, "split", "fold")
"""Columns of every store; stores of version 1 have no others."""
COLUMNS: Final = (
    *REQUIRED,
    *("source", "series_description", "thickness_mm", "pixel_mm"),
    *SCAN_LABELS.values(),
)
MOST_BYTES_A_ROW: Final = 4096
LONGEST: Final = 1024
"""Most bytes of an identifier; a DICOM UID has up to 64."""


def count_slices(file: Path) -> int:
    """Return the number of rows, from the file's metadata alone.

    Raises:
        ValueError: it isn't Parquet, lacks columns of a store, or has too much data for its number of slices.
        OSError: the file can't be read.
    """
    try:
        found = pq.ParquetFile(file)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None
    with found:
        about, names = found.metadata, found.schema_arrow.names
    if missing := [name for name in REQUIRED if name not in names]:
        raise ValueError(f"lacks the columns {', '.join(missing)}")
    size = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
    if size > MOST_BYTES_A_ROW * about.num_rows + 1_000_000:
        raise ValueError(f"declares {size:,} bytes for {about.num_rows:,} rows")
    return about.num_rows


def read_slices(file: Path) -> pd.DataFrame:
    """Read the table, a row per slice, with the columns `COLUMNS`; those that an older store lacks are empty.

    Raises:
        StoreError: the file is damaged, or an identifier is too long.
    """
    try:
        count_slices(file)
        names = [name for name in COLUMNS if name in pq.read_schema(file).names]
        # Dictionary-encoded, a text repeated a million times takes memory only once until it has been checked.
        table = pq.read_table(
            file, columns=names, read_dictionary=list(_TEXTS), page_checksum_verification=True
        )
        for name in names:
            _check_kind(table[name], name)
        return with_all_columns(_as_texts(table).to_pandas())
    except Exception as error:  # whatever pyarrow makes of a damaged description
        raise StoreError(f"{file}: damaged ({error}); prepare the store again") from None


def with_all_columns(slices: pd.DataFrame) -> pd.DataFrame:
    """Return a table of slices with exactly the columns `COLUMNS`, in order; missing ones are empty."""
    blank = {
        **dict.fromkeys(("source", "series_description"), ""),
        **dict.fromkeys(("thickness_mm", "pixel_mm"), np.nan),
        **dict.fromkeys(SCAN_LABELS.values(), pd.array([pd.NA] * len(slices), "Int8")),
    }
    missing = {name: value for name, value in blank.items() if name not in slices.columns}
    return slices.assign(**missing)[list(COLUMNS)]


def _check_kind(column: pa.ChunkedArray, name: str) -> None:
    """Raise a ValueError for a column that is neither numeric nor text, or has a text too long for an identifier."""
    for chunk in column.chunks:
        words = chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else chunk
        if pa.types.is_primitive(words.type) or pa.types.is_null(words.type):
            continue
        if not (pa.types.is_string(words.type) or pa.types.is_large_string(words.type)):
            raise ValueError(f"{name} holds {words.type}; must be numbers or text")
        lengths = pc.call_function("binary_length", [words])
        longest = pc.call_function("max", [lengths]).as_py() or 0
        if longest > LONGEST:
            raise ValueError(f"{name} has a text of {longest:,} bytes; the limit is {LONGEST:,}")


def _as_texts(table: pa.Table) -> pa.Table:
    """Return the table with dictionaries decoded to text, as it was written."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))
