"""`slices.parquet`: the table of a store's slices, checked against its own description before memory is taken."""

from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ichtune.errors import InputError
from ichtune.labels import LABELS


class StoreError(InputError):
    """A folder that is no store, a damaged one, or one of another version."""


TEXTS: Final = ("slice_id", "patient_id", "study_id", "series_id", "split")
COLUMNS: Final = (*TEXTS[:4], "z_mm", *LABELS, "split", "fold")
MOST_BYTES_A_ROW: Final = 4096
LONGEST: Final = 1024
"""Bytes of an identifier; a DICOM UID has 64 at most."""


def count_slices(file: Path) -> int:
    """The number of rows, from the file's description alone.

    Raises:
        ValueError: not Parquet, other columns than a store's, or more data than so many slices can have.
        OSError: the file can't be read.
    """
    try:
        found = pq.ParquetFile(file)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None
    with found:
        about, names = found.metadata, found.schema_arrow.names
    if missing := [name for name in COLUMNS if name not in names]:
        raise ValueError(f"lacks the columns {', '.join(missing)}")
    size = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
    if size > MOST_BYTES_A_ROW * about.num_rows + 1_000_000:
        raise ValueError(f"declares {size:,} bytes for {about.num_rows:,} rows")
    return about.num_rows


def read_slices(file: Path) -> pd.DataFrame:
    """The table, a row a slice, with the columns of `COLUMNS`.

    Raises:
        StoreError: the file is damaged, or an identifier longer than any.
    """
    try:
        count_slices(file)
        # As dictionaries, a text that is repeated a million times takes its memory once until it has been looked at.
        table = pq.read_table(
            file, columns=list(COLUMNS), read_dictionary=list(TEXTS), page_checksum_verification=True
        )
        for name in COLUMNS:
            _check_kind(table[name], name)
        return _as_texts(table).to_pandas()
    except Exception as error:  # whatever pyarrow makes of a damaged description
        raise StoreError(f"{file}: damaged ({error}); prepare the store anew") from None


def _check_kind(column: pa.ChunkedArray, name: str) -> None:
    """Raise a ValueError for a column of neither numbers nor texts, or with a text that no identifier is as long as."""
    for chunk in column.chunks:
        words = chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else chunk
        if pa.types.is_primitive(words.type) or pa.types.is_null(words.type):
            continue
        if not (pa.types.is_string(words.type) or pa.types.is_large_string(words.type)):
            raise ValueError(f"{name} holds {words.type}, must be numbers or texts")
        lengths = pc.call_function("binary_length", [words])
        longest = pc.call_function("max", [lengths]).as_py() or 0
        if longest > LONGEST:
            raise ValueError(f"{name} has a text of {longest:,} bytes, the most is {LONGEST:,}")


def _as_texts(table: pa.Table) -> pa.Table:
    """The table with texts in the place of dictionaries, as it was written."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))
