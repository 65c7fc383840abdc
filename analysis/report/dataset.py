"""The data that a search used: its splits, the prevalence of each label, and the findings of the audit."""

from dataclasses import dataclass

import pandas as pd

from analysis.report.grids import Cell, Grid
from analysis.statistics.cohort import Cohort
from ichtune.data.inspect.audit import NOTE, Finding, audit
from ichtune.data.store import SliceStore, StoreError, StoreInfo
from ichtune.labels import LABELS


@dataclass(frozen=True)
class Dataset:
    """A store as shown in a report."""

    facts: dict[str, str]
    splits: Grid
    findings: list[Finding]

    @classmethod
    def of(cls, cohort: Cohort) -> "Dataset":
        return cls(_facts(cohort.store), _splits(cohort.splits), _audited(cohort.store))


def _facts(store: SliceStore) -> dict[str, str]:
    info = store.info
    window = (
        f"{info.window[0]:g}/{info.window[1]:g} HU (centre/width) undone"
        if info.window
        else "none: Hounsfield units"
    )
    return {
        "store": store.path.name,
        "source format": info.format,
        **({"sources": ", ".join(info.sources)} if info.sources else {}),
        "slices": f"{info.slices:,} of {info.patients:,} patients",
        "rejected": f"{info.rejected:,} (see rejected.csv in the store for the reasons)"
        if info.rejected
        else "none",
        "stored size": f"{info.size} × {info.size} pixels",
        "window of the source": window,
        "test set": _test_set(info),
        "folds": f"{info.folds}, each a whole source: {', '.join(info.sources)}"
        if info.folds_by_source
        else f"{info.folds}, by patient, stratified on the labels",
        "random seed of the splits": str(info.seed),
        "patients": "identified" if info.patients_known else "not all identified in the source",
        "identifiers": "replaced by salted hashes" if info.hashed_ids else "as in the source",
        "fingerprint": store.fingerprint,
    }


def _test_set(info: StoreInfo) -> str:
    if info.keeps_given_split:
        return "as given by the source"
    return (
        f"{info.test_fraction:.0%} of the slices requested, by whole patients"
        if info.test_fraction
        else "none"
    )


def _splits(parts: pd.DataFrame) -> Grid:
    rows = [
        [
            Cell(str(part)),
            *(Cell(f"{row[count]:,.0f}", str(row[count])) for count in ("patients", "slices")),
            *(_share(row, label) for label in LABELS),
        ]
        for part, row in parts.iterrows()
    ]
    note = (
        "For each label: its prevalence, i.e. the share of positives among slices where it is known, and in "
        "parentheses the number of positive slices and of patients with one."
    )
    return Grid("Splits and prevalence", ["part", "patients", "slices", *LABELS], rows, [], [note])


def _share(row: pd.Series, label: str) -> Cell:
    if pd.isna(row[f"{label}_slices"]):
        return Cell("unknown")
    share = row[f"{label}_prevalence"]
    return Cell(
        f"{share:.1%} ({row[f'{label}_slices']:,.0f} in {row[f'{label}_patients']:,.0f})", repr(float(share))
    )


def _audited(store: SliceStore) -> list[Finding]:
    try:
        return audit(store)
    except StoreError as error:
        return [Finding(NOTE, f"Not audited for leaks and copies: {error}.")]
