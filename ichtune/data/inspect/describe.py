"""A store on the screen: its splits, rejected files, and the findings of the audit."""

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ichtune.data.inspect.audit import LEAK, NOTE, OK, Finding
from ichtune.data.slice_table import SCAN_LABELS
from ichtune.data.splits import split_table
from ichtune.data.store import SliceStore
from ichtune.labels import LABELS

_PARTICULARS = r"'[^']*'|\"[^\"]*\"|[\d,]+"
_COLOURS = {LEAK: "bold red", NOTE: "yellow", OK: "green"}


def print_splits(store: SliceStore, console: Console) -> None:
    """Print a column for train, each fold and test, and a row per label: positive slices (patients), prevalence."""
    parts = split_table(store.table)
    table = Table(
        title=f"{len(store):,} slices of {store.info.patients:,} patients, {store.size} x {store.size}",
        caption="positive slices (positive patients), prevalence below; red: no positives",
        caption_justify="left",
        box=box.SIMPLE,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for part in parts["part"]:
        table.add_column(part, justify="right")
    table.add_row("patients", *(f"{count:,}" for count in parts["patients"]))
    table.add_row("slices", *(f"{count:,}" for count in parts["slices"]), end_section=True)
    for label in LABELS:
        table.add_row(label, *(_cell(row, label) for _, row in parts.iterrows()))
    console.print(table)
    if store.info.folds_by_source:
        held_out = (f"fold {number} {escape(name)}" for number, name in enumerate(store.info.sources))
        console.print(f"held out: {', '.join(held_out)}")


def print_scans(store: SliceStore, console: Console) -> None:
    """Print how many scans there are, their spacing and their labels; nothing if slices have no series."""
    known = store.table[list(SCAN_LABELS.values())].notna().any(axis=None)
    if not known and (store.table["series_id"].fillna("") == "").all():
        return
    scans = store.scans.table
    measures = [
        f"{name} {_range(scans[column])} mm"
        for name, column in (("spacing", "spacing_mm"), ("thickness", "thickness_mm"))
        if scans[column].notna().any()
    ]
    slices = f"{_range(scans['slices'])} slices each"
    console.print(f"{len(scans):,} scans: {', '.join([slices, *measures])}", soft_wrap=True)
    positive = ", ".join(
        f"{label} {(scans[label] == 1).sum():,} of {scans[label].notna().sum():,}"
        for label in LABELS
        if scans[label].notna().any()
    )
    if positive:
        console.print(f"positive scans: {positive}", soft_wrap=True)


def _range(numbers: pd.Series) -> str:
    low, high = (f"{edge:.3g}" for edge in (numbers.min(), numbers.max()))
    return low if low == high else f"{low} to {high}"


def _cell(row: pd.Series, label: str) -> str:
    if pd.isna(row[f"{label}_slices"]):
        return "[dim]unknown[/]"
    text = (
        f"{row[f'{label}_slices']:,.0f} ({row[f'{label}_patients']:,.0f})\n{row[f'{label}_prevalence']:.1%}"
    )
    return text if row[f"{label}_slices"] else f"[bold red]{text}[/]"


def print_rejected(rejected: pd.DataFrame, console: Console, *, most: int = 12) -> None:
    """Print how many files were rejected for each reason, with the first of them."""
    if rejected.empty:
        return
    table = Table(title=f"{len(rejected):,} rejected", title_justify="left")
    table.add_column("", justify="right")
    table.add_column("reason")
    table.add_column("first file", overflow="fold")
    kinds = rejections_by_kind(rejected)
    for _, group in kinds[:most]:
        table.add_row(f"{len(group):,}", escape(group["reason"].iloc[0]), escape(group["file"].iloc[0]))
    console.print(table)
    if len(kinds) > most:
        console.print(f"... and {len(kinds) - most} more reasons")


def rejections_by_kind(rejected: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rejected files (`file`, `reason`) by their reason, most first.

    Names and numbers within a reason (files, bytes, frames) would make every reason unique, so they are `#`.
    """
    kinds = rejected.groupby(rejected["reason"].str.replace(_PARTICULARS, "#", regex=True), sort=False)
    return sorted(((str(kind), group) for kind, group in kinds), key=lambda kind: -len(kind[1]))


def print_audit(findings: list[Finding], console: Console) -> None:
    """Print a line for each finding, worst first."""
    for finding in findings:
        console.print(
            f"[{_COLOURS[finding.level]}]{finding.level:>4}[/]  {escape(finding.text)}", soft_wrap=True
        )
