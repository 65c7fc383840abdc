"""The files that predictions end in, all written from the rows when these are complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ichtune.errors import InputError
from ichtune.prediction.algorithm import Algorithm
from ichtune.prediction.by_scan import scan_tables
from ichtune.prediction.challenge_table import ChallengeTable
from ichtune.prediction.output import write_table
from ichtune.prediction.reports import write_reports
from ichtune.prediction.rows import COLUMNS, RowFile
from ichtune.prediction.submission import Submission
from ichtune.prediction.work import partial


@dataclass(frozen=True)
class Predictions:
    """A table of predictions, a row per slice, what else was written, and what the user should know."""

    file: Path
    by_scan: Path | None
    """A table of a row per scan; None if the scan of no slice is known."""
    submission: Path | None
    reports: int
    """How many structured reports were written."""
    slices: int
    """How many slices have a prediction."""
    unread: int
    """How many have a reason instead."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Outputs:
    """Where to write what."""

    table: Path
    sample: ChallengeTable | None = None
    reports: Path | None = None
    """A folder for structured reports."""

    @property
    def by_scan(self) -> Path:
        """The table by scan, beside that of the slices: `NAME.scans.csv`."""
        return self.table.with_name(f"{self.table.stem}.scans{self.table.suffix}")

    @property
    def submission(self) -> Path:
        """The submission, beside the table of the slices: `NAME.submission.csv`."""
        return self.table.with_name(f"{self.table.stem}.submission.csv")

    def refuse_finished(self) -> None:
        """Refuse to replace a file; all but the last may also be what a kill at the very end has left.

        Raises:
            InputError: a file is there.
        """
        early = (
            []
            if partial(self.table).exists()
            else [self.by_scan, *([self.submission] if self.sample else [])]
        )
        if found := next((file for file in (self.table, *early) if file.exists()), None):
            raise InputError(f"{found}: finished predictions are already here; replace them with --overwrite")

    def write(
        self, rows: RowFile, notes: Sequence[str], dicom: Path | None, algorithm: Algorithm
    ) -> Predictions:
        """Write everything, the table of the slices last, so that it is there only when all is.

        Args:
            dicom: the folder of the DICOM files, for structured reports.
            algorithm: what predicted, as the reports say.

        Raises:
            InputError: no slice has a prediction; the tables have the reasons.
        """
        self.by_scan.unlink(missing_ok=True)
        by_scan = self.by_scan if write_table(self.by_scan, scan_tables(rows.tables())) else None
        submitted = Submission.of(self.sample, rows.tables()) if self.sample else None
        if submitted:
            submitted.write(self.submission)
            notes = [*notes, *submitted.notes]
        reports = 0
        if self.reports and dicom:
            reported = write_reports(self.reports, dicom, rows.tables(), algorithm)
            reports, notes = reported.reports, [*notes, *reported.notes]
        write_table(self.table, (part[list(COLUMNS)] for part in rows.tables()))
        if rows.unread == rows.rows:
            first = next(iter(rows.tables(rows=1)))
            raise InputError(
                f"none of the {rows.rows:,} slices can be predicted (the first: {first['file'][0]}: "
                f"{first['reason'][0]}); {self.table} has the reason of each"
            )
        return Predictions(
            self.table,
            by_scan,
            self.submission if submitted else None,
            reports,
            rows.rows - rows.unread,
            rows.unread,
            tuple(notes),
        )
