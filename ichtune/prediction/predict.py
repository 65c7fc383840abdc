"""Predicting: slices are read chunk by chunk, and their rows kept as they come, so that a killed run goes on."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.prediction import views
from ichtune.prediction.by_scan import scan_tables
from ichtune.prediction.find import find_slices
from ichtune.prediction.inputs import Files, Input, Rows
from ichtune.prediction.options import PredictOptions, check_output
from ichtune.prediction.output import write_table
from ichtune.prediction.panel import Panel
from ichtune.prediction.rows import COLUMNS, RowFile, rows_of
from ichtune.prediction.work import Work, partial, working
from ichtune.progress import Report
from ichtune.windows import Window


@dataclass(frozen=True)
class Predictions:
    """A table of predictions, a row per slice, and what the user should know."""

    file: Path
    by_scan: Path | None
    """A table of a row per scan; None if the scan of no slice is known."""
    slices: int
    """How many slices have a prediction."""
    unread: int
    """How many have a reason instead."""
    notes: tuple[str, ...]


def predict(
    models: Sequence[Path],
    given: Path,
    out: Path,
    options: PredictOptions | None = None,
    report: Report = lambda *_: None,
) -> Predictions:
    """Predict the slices of a store, or in a folder or file of DICOM, NIfTI, PNG or JPEG, and write a row for each.

    Several models give the mean of their probabilities. A run that was stopped goes on when it is called again with
    the same arguments. `report` receives the slices done so far, their total, and how many could not be read.

    Raises:
        InputError: a model, the input or an option can't be used, or no slice could be read.
    """
    options = options or PredictOptions()
    check_output(out)
    if not options.overwrite:
        _refuse_finished(out)
    panel = Panel.open(models, views.views(options.augmentations))
    slices = _open(given, options)
    plan = {"model": panel.digest, "input": slices.digest} | {
        f"--{name}": value for name, value in options.meaning.items()
    }
    with working(out, plan) as work:
        _predict_all(panel, slices, work, options.workers or os.cpu_count() or 1, report)
        return _finish(given, out, work.rows, (*slices.notes, *_remarks(panel, options)))


def scans_file(out: Path) -> Path:
    """Return the file of the table by scan beside that of the slices: `NAME.scans.csv`."""
    return out.with_name(f"{out.stem}.scans{out.suffix}")


def _refuse_finished(out: Path) -> None:
    """Refuse to replace a table; one by scan may also be what a kill at the very end has left."""
    others = [] if partial(out).exists() else [scans_file(out)]
    if found := next((file for file in (out, *others) if file.exists()), None):
        raise InputError(f"{found}: finished predictions are already here; replace them with --overwrite")


def _open(given: Path, options: PredictOptions) -> Input:
    if not (given / "store.json").is_file():
        listing = find_slices(given, options.series, options.workers or os.cpu_count() or 1)
        return Files(listing, Window.parse(options.window))
    if options.series != "auto":
        raise InputError(
            f"--series {options.series}: {given} is a store, whose series were chosen by prepare; omit it"
        )
    return Rows(SliceStore.open(given))


def _predict_all(panel: Panel, slices: Input, work: Work, workers: int, report: Report) -> None:
    """Predict all chunks that have no rows yet."""
    rows = work.rows
    left = slices.chunks(whole_scans=panel.reads_scans)[rows.chunks :]
    report(rows.rows, len(slices), _unread(rows))
    for chunk in slices.read(left, panel.sizes, workers, work.pixels):
        read = chunk.about[chunk.about["reason"] == ""]
        raw, calibrated = panel.predict(read, chunk.hu)
        rows.append(rows_of(chunk.about, raw, calibrated, panel.thresholds))
        report(rows.rows, len(slices), _unread(rows))


def _unread(rows: RowFile) -> str:
    return f"{rows.unread:,} not readable"


def _finish(given: Path, out: Path, rows: RowFile, notes: tuple[str, ...]) -> Predictions:
    """Write the tables, that of the slices last, so that it is there only when all is."""
    by_scan = scans_file(out)
    by_scan.unlink(missing_ok=True)
    written = write_table(by_scan, scan_tables(rows.tables()))
    write_table(out, (part[list(COLUMNS)] for part in rows.tables()))
    if rows.unread == rows.rows:
        first = next(iter(rows.tables(rows=1)))
        raise InputError(
            f"{given}: none of its {rows.rows:,} slices can be predicted (the first: {first['file'][0]}: "
            f"{first['reason'][0]}); {out} has the reason of each"
        )
    return Predictions(out, by_scan if written else None, rows.rows - rows.unread, rows.unread, notes)


def _remarks(panel: Panel, options: PredictOptions) -> Iterator[str]:
    if options.augmentations:
        yield f"{views.describe(options.augmentations)}."
    if len(panel.models) > 1:
        yield (
            f"Probabilities are the mean of {len(panel.models)} models, and thresholds the mean of theirs."
        )
