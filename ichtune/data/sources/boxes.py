"""BHX (Reis et al., PhysioNet 2020): boxes around the hemorrhages in CQ500's slices, which make slices positive."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ichtune.data.columns import label_of, plain
from ichtune.data.label_tables import read_csv, require_columns
from ichtune.errors import InputError
from ichtune.labels import ANY, LABELS

FILES: Final = (
    "1_Initial_Manual_Labeling.csv",
    "2_Extrapolation_to_All_Series.csv",
    "3_Extrapolation_to_Selected_Series.csv",
)
_COLUMNS: Final = ("sopinstanceuid", "seriesinstanceuid", "labelname")
_CHRONIC: Final = "chronic"


@dataclass(frozen=True)
class Boxes:
    """The labels of slices with boxes: `rows` has `sop, series, label`, each once."""

    rows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["sop", "series", "label"]))
    notes: tuple[str, ...] = ()

    @property
    def series(self) -> set[str]:
        """The SeriesInstanceUIDs of series with boxes."""
        return set(self.rows["series"])

    @property
    def slices(self) -> dict[str, str]:
        """The SeriesInstanceUID of each slice with boxes, by its SOPInstanceUID."""
        return dict(zip(self.rows["sop"], self.rows["series"], strict=True))

    def marks(self, uids: Iterable[str]) -> np.ndarray:
        """Return which labels the slices with these SOPInstanceUIDs have by their boxes, bool [N, 6]."""
        found = self.rows.groupby("sop")["label"].agg(set).to_dict()
        labels = [found.get(uid, set()) for uid in uids]
        marks = np.array([[label in one for label in LABELS] for one in labels], bool).reshape(
            -1, len(LABELS)
        )
        marks[:, -1] = marks.any(axis=1)
        return marks


def find_boxes(given: Sequence[Path] | None, table: Path) -> list[Path]:
    """Return the files of boxes: those given, else BHX's beside the table of reads."""
    return list(given or [path for name in FILES if (path := table.parent / name).is_file()])


def read_boxes(files: Sequence[Path]) -> Boxes:
    """Read the labels of all boxes.

    Raises:
        InputError: a file is missing or lacks columns.
    """
    if not files:
        return Boxes()
    rows = pd.concat([_rows(path) for path in files], ignore_index=True)
    nameless, rows = rows[rows["sop"] == ""], rows[rows["sop"] != ""].reset_index(drop=True)
    meaning = {name: _label(name) for name in rows["name"].unique()}
    rows["label"] = rows["name"].map(meaning)
    notes = []
    if len(nameless):
        notes.append(f"Boxes without a SOPInstanceUID are not used: {len(nameless):,}.")
    if chronic := int((rows["name"].map(plain) == _CHRONIC).sum()):
        notes.append(f"Boxes named Chronic ({chronic:,}) make a slice positive for 'any' alone.")
    if unknown := sorted(name for name, label in meaning.items() if not label):
        count = int((rows["label"] == "").sum())
        notes.append(
            f"Boxes with names that are no labels are not used ({count:,}): {', '.join(unknown[:5])}."
        )
    known = rows[rows["label"] != ""][["sop", "series", "label"]]
    return Boxes(known.drop_duplicates(ignore_index=True), tuple(notes))


def _rows(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path}: no such file of boxes; --boxes takes BHX's CSVs, such as {FILES[-1]}")
    table = read_csv(path)
    require_columns(table, _COLUMNS, path)
    rows = table[list(_COLUMNS)].apply(lambda column: column.str.strip())
    return rows.set_axis(["sop", "series", "name"], axis=1)


def _label(name: str) -> str:
    if plain(name) == _CHRONIC:
        return ANY
    column = label_of(plain(name))
    return column.label if column and not column.negated else ""
