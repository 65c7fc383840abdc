"""A source from a table with a row a slice and a column a label."""

from pathlib import Path

import pandas as pd

from ichtune.data.images import is_image
from ichtune.data.label_tables import read_wide
from ichtune.data.sources.source import NO_FILE, NO_LABELS, Source, make_source
from ichtune.data.windows import Window
from ichtune.labels import SUBTYPES


def from_wide(
    kind: str, root: Path, table: pd.DataFrame, found: list[str], table_path: Path, window: Window
) -> Source:
    """A source from a table with a row a slice (`file, slice_id`, maybe `patient_id` and `z_mm`)."""
    values, wrong = read_wide(table, table_path)
    columns = [name for name in ("file", "slice_id", "patient_id", "z_mm") if name in table.columns]
    entries = pd.concat([table[columns], values], axis=1)
    reasons = {str(entries["file"][row]): str(reason) for row, reason in wrong.items()}
    entries = entries.drop(index=wrong.index).drop_duplicates(ignore_index=True)
    if "patient_id" in entries.columns:
        reasons |= dict.fromkeys(
            entries.loc[entries["patient_id"] == "", "file"], "no patient: its cell is empty"
        )
    twice = entries["file"][entries["file"].duplicated(keep=False)]
    reasons |= dict.fromkeys(twice, "contradictory labels: it stands in the CSV with different values")
    reasons |= dict.fromkeys(sorted(set(entries["file"]) - set(found)), NO_FILE)
    reasons |= dict.fromkeys(sorted(set(found) - set(entries["file"]) - set(reasons)), NO_LABELS)
    notes = []
    patients_known = "patient_id" in entries.columns or not any(map(is_image, entries["file"]))
    if not patients_known:
        notes.append(
            f"{table_path} has no patient column: every image counts as its own patient, so slices of one "
            "head may stand on both sides of a split. Leaks can't be ruled out, and scores may be too good."
        )
    if values[list(SUBTYPES)].isna().all(axis=None):
        notes.append("The labels are binary: only 'any' is known, the five subtypes are missing values.")
    return make_source(
        kind, root, entries[~entries["file"].isin(list(reasons))], reasons, window, patients_known, notes
    )
