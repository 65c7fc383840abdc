"""The commands that are one call from Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ichtune.commands import search_flow
from ichtune.commands.tracking import send_to
from ichtune.prediction.options import PredictOptions
from ichtune.remote import refuse_uri
from ichtune.runs.settings import SearchSettings
from ichtune.safe_console import SafeConsole
from ichtune.search.plan import plan
from ichtune.search.search import search as run_search
from ichtune.space import Space
from ichtune.tracking.trackers import trackers

if TYPE_CHECKING:
    from analysis.evaluation.evaluate import Evaluation
    from analysis.explaining.explained import Explained
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
    run = run_search(planned, console or SafeConsole(stderr=True)).run
    send_to(trackers(planned.settings.log, run), run)
    return RankedResults.of(run)


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

    refuse_uri("out", out)
    folders = [models] if isinstance(models, str | Path) else models
    return predict_slices(list(folders), given, Path(out), PredictOptions(**options))


def score(submission: str | Path, labels: str | Path) -> "Score":
    """Return the RSNA 2019 challenge's weighted log loss of a submission, against labels in the same long form.

        score("predictions.submission.csv", "stage_2_train.csv").weighted_log_loss

    Raises:
        InputError: a table can't be used, or they are not about the same slices.
    """
    from ichtune.prediction.score import score as score_submission

    return score_submission(submission, labels)


def evaluate(
    models: Sequence[str | Path], data: Sequence[str | Path], *, split: str | None = None
) -> "list[Evaluation]":
    """Evaluate models on stores and return each model's evaluation on each store, store by store; writes nothing.

        (made,) = evaluate(["runs/mine/retrain/rank1-all"], ["STORE"])
        print(made.by_label, made.plan.remarks)

    Raises:
        InputError: a model or store can't be used, or a store has no slices for all models.
    """
    from analysis.evaluation.cross import plans
    from analysis.evaluation.evaluate import evaluate
    from analysis.evaluation.options import EvaluateOptions

    planned = plans(list(models), list(data), EvaluateOptions.of(split))
    return [evaluate(plan) for plan in planned]


def finetune(model: str | Path, data: str | Path, **options: Any) -> Path:
    """Continue the training of a model on another store and return the new model's folder.

    `options` are the fields of `FinetuneOptions`.

        folder = finetune("runs/mine/retrain/rank1-all", "STORE2", epochs=5)

    Raises:
        InputError: an argument can't be used, or the training diverged at once.
    """
    from analysis.retraining.finetune import finetune, plan
    from analysis.retraining.finetune_options import FinetuneOptions

    return finetune(plan(model, data, FinetuneOptions(**options)))


def explain(model: str | Path, data: str | Path, **options: Any) -> "Explained":
    """Explain a model on a slice store: example slices with activation maps, and probabilities.

    `options` are the fields of `ExplainOptions`.

        explained = explain("runs/mine/retrain/rank1-fold0", "STORE", label="subdural")
        print(explained.table)

    Raises:
        InputError: an argument can't be used.
    """
    from analysis.explaining.explained import ExplainOptions
    from analysis.explaining.explained import explain as explain_model

    return explain_model(model, data, ExplainOptions(**options))
