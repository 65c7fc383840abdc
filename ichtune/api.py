"""The commands that are one call from Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ichtune.commands import search_flow
from ichtune.prediction.options import PredictOptions
from ichtune.runs.settings import SearchSettings
from ichtune.safe_console import SafeConsole
from ichtune.search.plan import plan
from ichtune.search.search import search as run_search
from ichtune.space import Space

if TYPE_CHECKING:
    from analysis.results import RankedResults
    from ichtune.prediction.outputs import Predictions
    from ichtune.prediction.score import Score


def search(
    data: str | Path, space: str | Path | Space = "quick", *, console: Console | None = None, **settings: Any
) -> "RankedResults":
    """Search for the best recipe on a slice store and return the ranked results.

    `settings` are the fields of `SearchSettings`.

        results = search("STORE", "quick", trials=30, name="first")
        print(results.table.head())

    Raises:
        InputError: an argument can't be used, or no trial finished an epoch.
    """
    from analysis.results import RankedResults

    space = space if isinstance(space, Space) else Space.load(space)
    planned = plan(data, space, SearchSettings(**settings))
    search_flow.refuse_without_room(planned)
    return RankedResults.of(run_search(planned, console or SafeConsole(stderr=True)).run)


def predict(
    models: str | Path | Sequence[str | Path], given: str | Path, out: str | Path, **options: Any
) -> "Predictions":
    """Predict the slices of a store, or of DICOM, NIfTI, PNG or JPEG, by one model or the mean of several.

    `options` are the fields of `PredictOptions`. Stopped, it goes on when it is called again.

        made = predict("runs/mine/retrain/rank1-all", "FOLDER", "predictions.parquet", tta="flips")
        slices, scans = pd.read_parquet(made.file), pd.read_parquet(made.by_scan)

    Raises:
        InputError: a model, the input or an option can't be used, or no slice could be read.
    """
    from ichtune.prediction.predict import predict as predict_slices

    folders = [models] if isinstance(models, str | Path) else models
    return predict_slices(
        [Path(folder) for folder in folders], Path(given), Path(out), PredictOptions(**options)
    )


def score(submission: str | Path, labels: str | Path) -> "Score":
    """Return the RSNA 2019 challenge's weighted log loss of a submission, against labels in the same long form.

        score("predictions.submission.csv", "stage_2_train.csv").weighted_log_loss

    Raises:
        InputError: a table can't be used, or they are not about the same slices.
    """
    from ichtune.prediction.score import score as score_submission

    return score_submission(submission, labels)
