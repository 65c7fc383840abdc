"""Rows of predictions on their way to a table: a file that grows by a chunk at a time and survives a kill."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from ichtune.files import replacing
from ichtune.intended_use import RESEARCH_ONLY
from ichtune.labels import LABELS

RAW: Final = {label: f"raw_{label}" for label in LABELS}
"""The column with the uncalibrated probability of each label; that of the calibrated one has the label's name."""
IS: Final = {label: f"is_{label}" for label in LABELS}
"""The column that says whether the calibrated probability reaches the label's threshold."""
USE: Final = "intended_use"
_TEXTS: Final = ("slice_id", "patient_id", "study_id", "series_id", "file", "reason")
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
    about: Mapping[str, Sequence[Any] | np.ndarray],
    raw: np.ndarray,
    calibrated: np.ndarray,
    thresholds: np.ndarray,
) -> pa.RecordBatch:
    """Return the rows of slices; `raw` and `calibrated` are the probabilities [n, 6] of those without a reason.

    Built as Arrow from the start: through tables of pandas, chunks as small as these take as long as the network.
    """
    texts = {name: list(about[name]) for name in _TEXTS}
    unread = np.array([bool(reason) for reason in texts["reason"]])
    columns: dict[str, pa.Array] = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    columns["z_mm"] = pa.array(np.asarray(about["z_mm"], float), from_pandas=True)
    columns["scan"] = pa.array(np.asarray(about["scan"], np.int32))
    columns[USE] = pa.array([RESEARCH_ONLY] * len(unread))
    kinds = ((RAW.values(), raw), (LABELS, calibrated), (IS.values(), calibrated >= thresholds))
    for names, values in kinds:
        spread = np.zeros((len(LABELS), len(unread)))
        spread[:, ~unread] = values.T
        columns |= {name: pa.array(one, mask=unread) for name, one in zip(names, spread, strict=True)}
    return pa.record_batch([columns[field.name].cast(field.type) for field in _SCHEMA], schema=_SCHEMA)


class RowFile:
    """A stream of Arrow record batches, one for each chunk; what a kill left unfinished at its end is cut off."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.chunks = self.rows = self.unread = 0
        """How many chunks it holds, of how many slices, and how many of these could not be read."""
        if not path.exists():
            with replacing(path) as beside:
                beside.write_bytes(_SCHEMA.serialize().to_pybytes())
        whole = _SCHEMA.serialize().size
        for batch, end in self._batches():
            whole = end
            self._count(batch)
        os.truncate(path, whole)

    def append(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a chunk."""
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
