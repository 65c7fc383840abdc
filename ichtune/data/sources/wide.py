"""A source from a table with a row per slice and a column per label."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ichtune.data.label_tables import describe_labels, read_wide
from ichtune.data.matching import Matches
from ichtune.data.sources.source import NO_FILE, Source, make_source, reasons_without_labels
from ichtune.data.sources.unlabeled import set_aside
from ichtune.labels import SUBTYPES
from ichtune.windows import Window

NO_NAME = "labels without a file: the cell with its name is empty"
IDENTITY = ("slice_id", "patient_id", "study_id", "series_id", "z_mm")


def from_wide(
    kind: str,
    root: Path,
    table: pd.DataFrame,
    found: list[str],
    matches: Matches,
    table_path: Path,
    window: Window,
    used: Iterable[str],
    notes: Iterable[str] = (),
) -> Source:
    """Return the slices of a table whose column `name` says which of the files `found` each row is about.

    Columns of IDENTITY are used as they are; `used` are the table's columns that these and `name` come from,
    and `notes` are added to those on labels and names.
    """
    values, wrong = read_wide(table, table_path)
    entries = pd.concat([table[["name", *(c for c in IDENTITY if c in table.columns)]], values], axis=1)
    entries.insert(0, "file", [matches.files.get(name, name) for name in table["name"]])
    reasons = {file: str(wrong[row]) for row, file in entries["file"][wrong.index].items() if file}
    entries = entries.drop(index=wrong.index).drop_duplicates(ignore_index=True)
    entries = entries[entries["name"].isin(list(matches.files))]
    if "patient_id" in entries.columns:
        reasons |= dict.fromkeys(
            entries.loc[entries["patient_id"] == "", "file"], "no patient: its cell is empty"
        )
    twice = entries["file"][entries["file"].duplicated(keep=False)]
    reasons |= dict.fromkeys(twice, "contradictory labels: it is in the CSV with different values")
    reasons |= _without_files(table, matches, reasons)
    without, aside = set_aside(reasons_without_labels(matches, set(found) - set(reasons)), matches)
    reasons |= without
    notes = [*describe_labels(table, table_path, used), *aside, *notes]
    if values[list(SUBTYPES)].isna().all(axis=None):
        notes.append("The labels are binary: only 'any' is known, the five subtypes are missing values.")
    notes += matches.note(table_path.name)
    return make_source(kind, root, entries[~entries["file"].isin(list(reasons))], reasons, window, notes)


def _without_files(table: pd.DataFrame, matches: Matches, reasons: dict[str, str]) -> dict[str, str]:
    """Return why rows have no file, by their name or by the file they would have had."""
    lost = {name for name in table["name"] if name not in matches.files and name not in matches.undecided}
    without = {
        name: f"{NO_FILE}; {reasons[name]}" if name in reasons else NO_FILE for name in lost if name != ""
    }
    nameless = table.index[table["name"] == ""]
    return without | {f"line {row}": NO_NAME for row in nameless} | matches.unclear
