"""Predicting: slices are read chunk by chunk, and their rows kept as they come, so that a killed run goes on."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ichtune.data.store import SliceStore
from ichtune.data.workers import Workers
from ichtune.errors import InputError
from ichtune.prediction import views
from ichtune.prediction.challenge_table import read_challenge_table
from ichtune.prediction.find import find_slices
from ichtune.prediction.inputs import Files, Input, Rows
from ichtune.prediction.options import PredictOptions, check_output
from ichtune.prediction.outputs import Outputs, Predictions
from ichtune.prediction.panel import Panel
from ichtune.prediction.reports import refuse_without_highdicom
from ichtune.prediction.rows import RowFile, rows_of
from ichtune.prediction.work import Work, working
from ichtune.progress import Report
from ichtune.remote import is_uri
from ichtune.windows import Window


def predict(
    models: Sequence[str | Path],
    given: str | Path,
    out: Path,
    options: PredictOptions | None = None,
    report: Report = lambda *_: None,
) -> Predictions:
    """Predict the slices of a store, or in a folder or file of DICOM, NIfTI, PNG or JPEG, and write a row for each.

    Models and stores may be at URIs.

    Several models give the mean of their probabilities. A run that was stopped goes on when it is called again with
    the same arguments. `report` receives the slices done so far, their total, and how many could not be read.

    Raises:
        InputError: a model, the input or an option can't be used, or no slice could be read.
    """
    options = options or PredictOptions()
    check_output(out)
    sample = read_challenge_table(options.submission) if options.submission else None
    if options.dicom_sr:
        refuse_without_highdicom(options.dicom_sr)
    outputs = Outputs(out, sample, options.dicom_sr)
    if not options.overwrite:
        outputs.refuse_finished()
    panel = Panel.open(models, views.views(options.augmentations))
    with Workers(options.workers or os.cpu_count() or 1) as workers:
        slices = _open(given, options, workers, report)
        if sample:
            sample.refuse_unrelated(slices.names, given)
        if options.dicom_sr and slices.dicom_root is None:
            raise InputError(
                f"--dicom-sr {options.dicom_sr}: {given} has no DICOM files to report on; omit it"
            )
        plan = {"model": panel.digest, "input": slices.digest} | {
            f"--{name}": value for name, value in options.meaning.items()
        }
        with working(out, plan) as work:
            _predict_all(panel, slices, work, workers, report)
            remarks = list(_remarks(panel, options))
            return outputs.write(
                work.rows, [*slices.notes, *remarks], slices.dicom_root, panel.algorithm(remarks)
            )


def _open(given: str | Path, options: PredictOptions, workers: Workers, report: Report) -> Input:
    if not SliceStore.is_at(given):
        if is_uri(given):
            raise InputError(
                f"{given}: no slice store, and nothing else is read from a URI; copy the files to this machine"
            )
        listing = find_slices(
            Path(given),
            options.series,
            workers,
            lambda done, total: report(0, total, f"{done:,} headers read"),
        )
        return Files(listing, Window.parse(options.window))
    if options.series != "auto":
        raise InputError(
            f"--series {options.series}: {given} is a store, whose series were chosen by prepare; omit it"
        )
    return Rows(SliceStore.open(given))


def _predict_all(panel: Panel, slices: Input, work: Work, workers: Workers, report: Report) -> None:
    """Predict all chunks that have no rows yet."""
    rows = work.rows
    left = slices.chunks(whole_scans=panel.reads_scans)[rows.chunks :]
    report(rows.rows, len(slices), _unread(rows))
    for chunk in slices.read(left, panel.sizes, workers, work.pixels):
        raw, calibrated = panel.predict(chunk)
        rows.append(rows_of(chunk.about, raw, calibrated, panel.thresholds))
        report(rows.rows, len(slices), _unread(rows))


def _unread(rows: RowFile) -> str:
    return f"{rows.unread:,} not readable"


def _remarks(panel: Panel, options: PredictOptions) -> Iterator[str]:
    if options.augmentations:
        yield f"{views.describe(options.augmentations)}."
    if len(panel.models) > 1:
        yield (
            f"Probabilities are the mean of {len(panel.models)} models, and thresholds the mean of theirs."
        )
