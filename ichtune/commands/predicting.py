"""Commands that predict slices without labels, and score such predictions."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ichtune.commands.arguments import takes
from ichtune.commands.terminal import console, end_interrupted, note, say
from ichtune.errors import InputError
from ichtune.intended_use import RESEARCH_ONLY
from ichtune.prediction.options import PredictOptions, check_output
from ichtune.wording import plural


@takes(PredictOptions)
def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... INPUT",
            help="Folders of models or their URIs, and last what to predict: a store or its URI, or a folder or file "
            "of DICOM, NIfTI, PNG or JPEG.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Table to write, a row per slice: .csv or .parquet.")],
    settings: PredictOptions,
) -> None:
    """Predict slices without labels by one model, or the mean of several."""
    check_output(out)
    *models, given = paths
    if not models:
        raise InputError(f"{given}: one path is given; give the folders of models, then what to predict")
    # Read when torch is loaded. Its threads would otherwise wait for work in a loop, on cores that the readers need:
    # on two cores that have other work to do, this takes half of the time.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from ichtune.prediction.predict import predict as predict_slices
    from ichtune.progress import progress

    try:
        with progress("predicting", "slices", console) as report:
            made = predict_slices(models, given, out, settings, report)
    except KeyboardInterrupt:
        end_interrupted()
    for remark in made.notes:
        note(remark)
    if made.unread:
        note(f"{plural(made.unread, 'slice', 'slices')} without a prediction; the column reason says why.")
    say(f"predictions: {made.file}  ({plural(made.slices, 'slice', 'slices')})")
    say(f"by scan: {made.by_scan}" if made.by_scan else "by scan: none, as no slice says which scan it is of")
    if made.submission:
        say(f"submission: {made.submission}")
    if settings.dicom_sr:
        say(f"structured reports: {settings.dicom_sr}  ({plural(made.reports, 'scan', 'scans')})")
    say(f"For research only: {RESEARCH_ONLY}.")


def score(
    submission: Annotated[Path, typer.Argument(help="Submission to the RSNA 2019 challenge: ID,Label.")],
    labels: Annotated[Path, typer.Argument(help="Labels in the same form, such as stage_2_train.csv.")],
) -> None:
    """Score a submission by the RSNA 2019 challenge's weighted log loss."""
    from ichtune.prediction.score import score as score_submission

    found = score_submission(submission, labels)
    apart = ", ".join(f"{label} {loss:.5f}" for label, loss in found.by_label.items())
    say(f"weighted log loss: {found.weighted_log_loss:.5f}  ({plural(found.slices, 'slice', 'slices')})")
    say(f"log loss by label: {apart}")
