"""Tables of predictions as files, written a part at a time."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ichtune.files import replacing
from ichtune.prediction.intended_use import RESEARCH_ONLY
from ichtune.spreadsheet import csv_text


def write_table(file: Path, parts: Iterable[pd.DataFrame]) -> bool:
    """Write tables of the same columns, one after the other, as the CSV or Parquet file that the name says.

    Returns whether there was any table; if not, no file is written.
    """
    parts = iter(parts)
    first = next(parts, None)
    if first is None:
        return False
    with replacing(file) as beside:
        _WRITERS[file.suffix.lower()](beside, first, parts)
    return True


def _write_csv(file: Path, first: pd.DataFrame, others: Iterator[pd.DataFrame]) -> None:
    with open(file, "w", encoding="utf-8") as out:
        out.write(csv_text(first))
        for part in others:
            out.write(csv_text(part).partition("\n")[2])


def _write_parquet(file: Path, first: pd.DataFrame, others: Iterator[pd.DataFrame]) -> None:
    schema = pa.Schema.from_pandas(first, preserve_index=False)
    schema = schema.with_metadata({**(schema.metadata or {}), b"intended_use": RESEARCH_ONLY.encode()})
    with pq.ParquetWriter(file, schema) as out:
        for part in chain([first], others):
            out.write_table(pa.Table.from_pandas(part, schema, preserve_index=False))


_WRITERS: Final[dict[str, Callable[[Path, pd.DataFrame, Iterator[pd.DataFrame]], None]]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
