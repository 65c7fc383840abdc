"""Rows of predictions on their way to a table: a file that grows by a chunk at a time and survives a kill."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from ichtune.labels import LABELS
from ichtune.prediction.intended_use import RESEARCH_ONLY

RAW: Final = {label: f"raw_{label}" for label in LABELS}
"""The column with the uncalibrated probability of each label; that of the calibrated one has the label's name."""
IS: Final = {label: f"is_{label}" for label in LABELS}
"""The column that says whether the calibrated probability reaches the label's threshold."""
USE: Final = "intended_use"
_SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("slice_id", "patient_id", "study_id", "series_id")),
        ("z_mm", pa.float64()),
        ("file", pa.string()),
        *((name, pa.float64()) for name in (*RAW.values(), *LABELS)),
        *((name, pa.int8()) for name in IS.values()),
        ("reason", pa.string()),
        (USE, pa.string()),
        ("scan", pa.int32()),
    ]
)
COLUMNS: Final = tuple(name for name in _SCHEMA.names if name != "scan")
"""The columns of the table; `reason` says why a row has no prediction."""


def rows_of(
    about: pd.DataFrame, raw: np.ndarray, calibrated: np.ndarray, thresholds: np.ndarray
) -> pd.DataFrame:
    """Return the rows of slices; `raw` and `calibrated` are the probabilities [n, 6] of those without a reason."""
    read = (about["reason"] == "").to_numpy()
    columns = {}
    for values, names in ((raw, RAW.values()), (calibrated, LABELS)):
        spread = np.full((len(about), len(LABELS)), np.nan)
        spread[read] = values
        columns |= dict(zip(names, spread.T, strict=True))
    decided = {
        IS[label]: pd.array(columns[label] >= threshold, "Int8")
        for label, threshold in zip(LABELS, thresholds.tolist(), strict=True)
    }
    rows = about.assign(**columns, **decided, **{USE: RESEARCH_ONLY})
    rows.loc[~read, list(IS.values())] = pd.NA
    return rows[_SCHEMA.names]


class RowFile:
    """A stream of Arrow record batches, one for each chunk; what a kill left unfinished at its end is cut off."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.chunks = self.rows = self.unread = 0
        """How many chunks it holds, of how many slices, and how many of these could not be read."""
        if not path.exists():
            path.write_bytes(_SCHEMA.serialize().to_pybytes())
        whole = _SCHEMA.serialize().size
        for batch, end in self._batches():
            whole = end
            self._count(batch)
        os.truncate(path, whole)

    def append(self, rows: pd.DataFrame) -> None:
        """Add a chunk."""
        batch = pa.RecordBatch.from_pandas(_printable(rows), _SCHEMA, preserve_index=False)
        with open(self.path, "ab") as file:
            file.write(batch.serialize().to_pybytes())
        self._count(batch)

    def tables(self, rows: int = 20_000) -> Iterator[pd.DataFrame]:
        """Yield everything, in tables of about this many rows."""
        waiting: list[pa.RecordBatch] = []
        for batch, _end in self._batches():
            waiting.append(batch)
            if sum(map(len, waiting)) >= rows:
                yield _table(waiting)
                waiting = []
        if waiting:
            yield _table(waiting)

    def _count(self, batch: pa.RecordBatch) -> None:
        self.chunks += 1
        self.rows += len(batch)
        self.unread += sum(map(bool, batch.column("reason").to_pylist()))

    def _batches(self) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Yield the batches, each with where it ends in the file, up to the first that isn't whole."""
        with pa.OSFile(str(self.path)) as file:
            pa.ipc.read_message(file)  # the schema
            while True:
                try:
                    message = pa.ipc.read_message(file)
                    yield pa.ipc.read_record_batch(message, _SCHEMA), file.tell()
                except (EOFError, pa.ArrowInvalid, OSError):
                    return


def _table(batches: list[pa.RecordBatch]) -> pd.DataFrame:
    table = pa.Table.from_batches(batches, _SCHEMA).to_pandas()
    return table.astype(dict.fromkeys(IS.values(), "Int8"))


def _printable(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with names of files that aren't UTF-8 written with codes."""
    texts = ("slice_id", "file", "study_id", "series_id", "patient_id", "reason")
    return rows.assign(
        **{name: [text.encode("utf-8", "backslashreplace").decode() for text in rows[name]] for name in texts}
    )
