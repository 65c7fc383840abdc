"""The patient of each slice: as named, else by study or series, with one spelling for each."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

import pandas as pd

FALLBACKS: Final = {"study_id": "study", "series_id": "series"}


@dataclass(frozen=True)
class Patients:
    """The patient of each slice, whether all were named, and notes for the user."""

    ids: pd.Series
    known: bool
    notes: tuple[str, ...]


def settle_patients(slices: pd.DataFrame) -> Patients:
    """Determine the patients of slices from `slice_id, patient_id, study_id, series_id`.

    A slice without a patient gets that of its study's other slices; otherwise its study, its series or finally the
    slice itself counts as the patient. Ids that differ only in case, blanks or punctuation are one patient: treating
    one person as two would leak, treating two as one costs little.
    """
    named, notes = _one_spelling(slices["patient_id"].str.strip())
    by_study = _patients_of_studies(named, slices["study_id"])
    ids = named.where(named != "", slices["study_id"].map(lambda study: by_study.get(study, "")))
    known = bool((ids != "").all())
    for column, what in FALLBACKS.items():
        missing = (ids == "") & (slices[column] != "")
        if missing.any():
            notes.append(_guess(missing.sum(), what, slices.loc[missing, column].nunique()))
        ids = ids.where(~missing, slices[column])
    if (alone := ids == "").any():
        notes.append(
            f"{alone.sum():,} of {len(slices):,} slices have no patient, in the table or their files: each counts "
            "as its own, so slices of one head may be on both sides of a split. Leaks can't be ruled out, and scores "
            "may be too good."
        )
    return Patients(ids.where(~alone, slices["slice_id"]), known, tuple(notes))


def join_shared_studies(
    patients: pd.Series, studies: pd.Series, sources: pd.Series
) -> tuple[pd.Series, list[str]]:
    """Return patients with those of a study that two sources have made one, and a note on it.

    A study of several patients within one source is left alone: tables may number each patient's studies from 1.
    """
    pairs = pd.DataFrame({"patient": patients, "study": studies, "source": sources})
    pairs = pairs[pairs["study"] != ""].drop_duplicates()
    counts = pairs.groupby("study")["source"].nunique()
    shared = pairs[pairs["study"].isin(counts.index[counts > 1])].sort_values("patient")
    same: dict[str, str] = {}
    for _, group in shared.groupby("study"):
        roots = [_root(patient, same) for patient in group["patient"]]
        same |= {root: roots[0] for root in roots[1:] if root != roots[0]}
    if not same:
        return patients, []
    note = (
        f"{shared['study'].nunique():,} studies are in more than one source: the patients they belong to count as the "
        "same, and their slices stay on one side of every split."
    )
    return patients.map({patient: _root(patient, same) for patient in patients.unique()}), [note]


def describe_divided_patients(slices: pd.DataFrame, in_headers: pd.Series) -> list[str]:
    """Return notes on patients of the headers whom a table or `--patient` takes for several.

    A source whose headers all name the same patient says nothing, as after removing names.

    Args:
        slices: `source, patient_id`, the patient empty where neither a table nor the path names it.
        in_headers: the patient that each slice's own header names, empty if none.
    """
    both = pd.DataFrame({"source": slices["source"], "named": slices["patient_id"], "header": in_headers})
    both = both[(both["named"] != "") & (both["header"] != "")].drop_duplicates()
    notes = []
    for source, pairs in both.groupby("source"):
        counts = pairs.groupby("header")["named"].nunique()
        divided = counts.index[counts > 1]
        if len(counts) > 1 and len(divided):
            first, second, *_ = sorted(pairs.loc[pairs["header"] == divided[0], "named"])
            notes.append(
                f"{f'{source}: ' if source else ''}{len(divided):,} of {len(counts):,} patients in the headers count "
                f"as several (the first: {divided[0]} as {first} and {second}), so slices of one person may be on "
                "both sides of a split."
            )
    return notes


def _root(patient: str, same: dict[str, str]) -> str:
    while patient in same:
        patient = same[patient]
    return patient


def _guess(slices: int, what: str, count: int) -> str:
    return (
        f"{slices:,} slices don't name a patient: their {what} counts as the patient "
        f"({count:,} in all). Leaks can't be ruled out: a patient with two of "
        "them may be on both sides of a split."
    )


def _patients_of_studies(patients: pd.Series, studies: pd.Series) -> dict[str, str]:
    """Return the patient of each study that has exactly one."""
    both = pd.DataFrame({"patient": patients, "study": studies})
    both = both[(both != "").all(axis=1)].drop_duplicates()
    single = both[~both["study"].duplicated(keep=False)]
    return dict(zip(single["study"], single["patient"], strict=True))


def _one_spelling(ids: pd.Series) -> tuple[pd.Series, list[str]]:
    """Return each patient's ids in their first spelling, and a note on those with several."""
    spellings: dict[str, list[str]] = {}
    for written in sorted(ids.unique()):
        spellings.setdefault(_key(written), []).append(written)
    several = [group for group in spellings.values() if len(group) > 1]
    if not several:
        return ids, []
    shown = "; ".join(" = ".join(map(repr, group)) for group in several[:5])
    more = f"; and {len(several) - 5} more" if len(several) > 5 else ""
    note = (
        f"Patient ids that differ only in case, blanks or punctuation count as one patient: {shown}{more}. "
        "If they are different people, give them distinct ids."
    )
    return ids.map({written: group[0] for group in spellings.values() for written in group}), [note]


def _key(written: str) -> str:
    text = unicodedata.normalize("NFKC", written).casefold()
    text = re.sub(r"^(\d+)\.0+$", r"\1", text)  # a number written by a spreadsheet
    return re.sub(r"[\W_]+", "", text) or text
