"""The data that a search used: its splits, the prevalence of each label, and the findings of the audit."""

from dataclasses import dataclass

import pandas as pd

from analysis.report.grids import Cell, Grid
from analysis.statistics.cohort import Cohort
from analysis.tables.store_facts import store_facts
from ichtune.data.inspect.audit import NOTE, Finding, audit
from ichtune.data.store import SliceStore, StoreError
from ichtune.labels import LABELS


@dataclass(frozen=True)
class Dataset:
    """A store as shown in a report."""

    facts: dict[str, str]
    splits: Grid
    findings: list[Finding]

    @classmethod
    def of(cls, cohort: Cohort) -> "Dataset":
        return cls(store_facts(cohort.store), _splits(cohort.splits), _audited(cohort.store))


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
