"""Checks for what could make scores misleading: leaks between splits, duplicate slices, shifted prevalence."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ichtune.data.copies import contradicting_copies, describe_contradicting_copies
from ichtune.data.splits import TEST, TRAIN, split_table
from ichtune.data.store import SliceStore
from ichtune.labels import LABELS

LEAK, NOTE, OK = "leak", "note", "ok"


@dataclass(frozen=True)
class Finding:
    """The result of one check: its severity (`leak`, `note` or `ok`) and a sentence on what was found."""

    level: str
    text: str


def audit(store: SliceStore) -> list[Finding]:
    """Return the results of all checks of a store, worst first."""
    slices = store.table
    findings = [
        _in_two_splits(slices, "patient_id", "patients"),
        _in_two_splits(slices, "study_id", "studies"),
        _copies(slices, store.digests),
        *(
            Finding(NOTE, text)
            for text in describe_contradicting_copies(contradicting_copies(slices, store.digests))
        ),
        *_shifted(prevalence_shift(slices)),
        *_empty_cells(slices),
    ]
    if not store.info.patients_known:
        findings.append(
            Finding(
                NOTE,
                "Not every slice names its patient; for those that don't, the study, series or slice counts as one, "
                "so leaks can't be ruled out.",
            )
        )
    return sorted(findings, key=lambda finding: (LEAK, NOTE, OK).index(finding.level))


def prevalence_shift(slices: pd.DataFrame) -> pd.DataFrame:
    """Return each label's share of positive slices in train and test, their difference, and its standard error.

    Columns `label, train, test, difference, standard_error`. The error is by patient (the linearised variance of a
    ratio of sums over clusters: Cochran, Sampling Techniques, 3rd ed., section 6.3), since slices of one head
    aren't independent. No rows if there is no test set.
    """
    rows = []
    for label in LABELS:
        shares = [_share(slices[slices["split"] == split], label) for split in (TRAIN, TEST)]
        if None not in shares:
            (train, train_error), (test, test_error) = [share for share in shares if share is not None]
            error = float(np.hypot(train_error, test_error))
            rows.append((label, train, test, test - train, error))
    return pd.DataFrame(rows, columns=["label", "train", "test", "difference", "standard_error"])


def _share(slices: pd.DataFrame, label: str) -> tuple[float, float] | None:
    """Return the share of positives among known slices, and its standard error by patient."""
    known = slices[slices[label].notna()]
    if known.empty:
        return None
    sums = known.groupby("patient_id")[label].agg(["sum", "count"]).astype(float)
    share = sums["sum"].sum() / sums["count"].sum()
    if len(sums) < 2:
        return share, float("nan")
    residuals = sums["sum"] - share * sums["count"]
    clusters = len(sums)
    variance = clusters / (clusters - 1) * (residuals**2).sum() / sums["count"].sum() ** 2
    return share, float(np.sqrt(variance))


def _in_two_splits(slices: pd.DataFrame, column: str, what: str) -> Finding:
    known = slices[slices[column] != ""]
    if known.empty:
        return Finding(NOTE, f"No {what} are named, so it is unknown whether one is in two splits.")
    splits = known.groupby(column)[["split", "fold"]].nunique().max(axis=1)
    if len(shared := splits.index[splits > 1]):
        return Finding(LEAK, f"{len(shared):,} {what} are in two splits or folds, the first is {shared[0]}.")
    return Finding(OK, f"None of the {len(splits):,} {what} is in two splits or folds.")


def _copies(slices: pd.DataFrame, digests: np.ndarray) -> Finding:
    groups = slices.assign(digest=digests).groupby("digest")
    size = groups["slice_id"].transform("size").to_numpy()
    if not (size > 1).any():
        return Finding(OK, "No two slices have the same pixels.")
    copies = slices[size > 1].assign(digest=digests[size > 1])
    splits = copies.groupby("digest")[["split", "fold"]].nunique().max(axis=1)
    first = copies.loc[
        copies["digest"] == (splits.idxmax() if (splits > 1).any() else splits.index[0]), "slice_id"
    ]
    text = f"{len(copies):,} slices have the same pixels as another (the first pair: {first.iloc[0]}, {first.iloc[1]})"
    if (splits > 1).any():
        return Finding(LEAK, f"{text}, in {int((splits > 1).sum()):,} cases in another split or fold.")
    return Finding(NOTE, f"{text}, always within one split and fold.")


def _shifted(shift: pd.DataFrame) -> list[Finding]:
    if shift.empty:
        return []
    far = shift[shift["difference"].abs() > 1.96 * shift["standard_error"]]
    findings = [
        Finding(
            NOTE,
            f"Prevalence of {row.label} shifts from {row.train:.1%} in train to {row.test:.1%} in test, "
            f"{row.difference:+.1%} ± {1.96 * row.standard_error:.1%} (95 %, by patient).",
        )
        for row in far.itertuples()
    ]
    return findings or [
        Finding(OK, "No label's prevalence differs between train and test beyond chance (by patient).")
    ]


def _empty_cells(slices: pd.DataFrame) -> list[Finding]:
    table = split_table(slices).set_index("part")
    findings = []
    for label in LABELS:
        counts = table[f"{label}_slices"].dropna()
        if len(empty := counts.index[counts == 0]):
            findings.append(
                Finding(NOTE, f"No positive of {label} in {', '.join(empty)}: its AUC is undefined there.")
            )
    return findings
