"""The models that were retrained from a search, read from their folders."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.report.figures import Figure, figures
from analysis.report.grids import Grid
from analysis.tables.compared import COMPARED, compared_table
from analysis.tables.paired import PAIRED, paired_table
from analysis.tables.tuning import BEHIND, calibration_table, thresholds_table
from ichtune.inference.about import ABOUT, About, read_about
from ichtune.json_text import read_json
from ichtune.metric_names import in_words
from ichtune.runs.folder import RunFolder
from ichtune.yaml_text import write_yaml


@dataclass(frozen=True)
class RetrainedModel:
    """One model's folder in words and tables."""

    folder: Path
    about: About
    metrics: dict[str, Any]
    """The contents of `metrics.json`."""

    @property
    def label(self) -> str:
        return self.folder.name

    @property
    def scored_on_test(self) -> bool:
        return "test" in self.metrics["parts"]

    @property
    def sentence(self) -> str:
        """Where the model came from and how its training went."""
        origin, epochs = self.about.origin, len(list(self.metrics["history"].values())[-1])
        if len(self.metrics["history"]) == 1:
            several = (
                f" as {len(self.about.members)} models that predict together" if self.about.members else ""
            )
            return f"The search's own model of rank {origin.rank} ({origin.trial}) on its frozen backbone{several}."
        recipe = f"The recipe of rank {origin.rank} ({origin.trial}), retrained"
        metric = self.metrics["metric"].replace("_", " ")
        if self.metrics.get("soup"):
            count, seeds = len(self.about.members), self.metrics["soup"]
            return (
                f"{recipe} as {count} models that predict together, each the average of the weights of some of {seeds} "
                "seeds."
            )
        if self.about.members:
            each = ", ".join(str(of["best_epoch"]) for of in self.metrics["trainings"].values())
            return (
                f"{recipe} as {len(self.about.members)} models that predict together, each with early stopping on its "
                f"own fold. Their best epochs were {each} by {metric}."
            )
        if origin.fold is None:
            return f"{recipe} on all folds for {epochs} epochs, as many as were best for the models of the folds."
        return (
            f"{recipe} with fold {origin.fold} for early stopping. Its best epoch was {origin.epoch} of {epochs} by "
            f"{metric}."
        )

    @property
    def differences(self) -> Grid:
        changes = pd.DataFrame(
            list(self.about.origin.differences.items()), columns=["what", "searched → retrained"]
        )
        return Grid.plain("Differences between the retraining and the search", changes)

    @property
    def comparison(self) -> Grid:
        """One row per metric and part, one column per model; a dash if a model has no such number."""
        models = self.metrics["models"]
        rows = [
            {"part": part, "metric": metric.replace("_", " ")}
            | {name: _number(scores.get(part, {}).get(metric)) for name, scores in models.items()}
            for part in self.metrics["parts"]
            for metric in dict.fromkeys(key for scores in models.values() for key in scores.get(part, {}))
        ]
        return Grid.plain(
            "The search's model, the retrained model, and no skill", pd.DataFrame(rows), self._notes()
        )

    @property
    def tuning(self) -> list[Grid]:
        """Calibration and thresholds, before and after; empty for a model made before it had them."""
        if "thresholds" not in self.metrics:
            return []
        nobody = pd.DataFrame()
        decided = thresholds_table(_frame(self.metrics["thresholds"]), self.about.thresholds_chosen, nobody)
        errors = calibration_table(_frame(self.metrics["calibration"]), self.about.calibration, nobody)
        known = (f"thresholds: {self.about.thresholds_chosen}", f"calibration: {self.calibration}")
        return [Grid.of(table, BEHIND, known) for table in (decided, errors)]

    @property
    def paired(self) -> list[Grid]:
        """What the retraining adds, with intervals; empty if it isn't known."""
        if not self.metrics.get("paired"):
            return []
        searched = next(iter(self.metrics["models"]))
        return [Grid.of(paired_table(_frame(self.metrics["paired"]), searched, pd.DataFrame()), PAIRED)]

    @cached_property
    def pictures(self) -> list[Figure]:
        """The picture of the calibration, and those of `ichtune explain`, as far as there are any."""
        calibration = [file for file in [self.folder / "calibration.png"] if file.is_file()]
        return figures(calibration + sorted((self.folder / "explain").glob("*.png")))

    def _notes(self) -> list[str]:
        counts = [
            f"{part}: {facts['slices']:,} slices of {facts['patients']:,} patients"
            for part, facts in self.metrics["parts"].items()
        ]
        trained = [
            f"{name} {scores['trained_parameters']:,}"
            for name, scores in self.metrics["models"].items()
            if scores["trained_parameters"]
        ]
        return ["; ".join(counts), f"trained parameters: {', '.join(trained)}", *self.metrics["notes"]]

    @property
    def recipe(self) -> str:
        return write_yaml(self.about.recipe.model_dump(mode="json")).strip()

    @property
    def thresholds(self) -> str:
        values = ", ".join(f"{label} {value:g}" for label, value in self.about.thresholds.items())
        return f"{values} ({self.about.thresholds_chosen})"

    @property
    def calibration(self) -> str:
        return self.about.calibration.chosen


@dataclass(frozen=True)
class Comparison:
    """Models that were trained to be compared."""

    folder: Path

    @property
    def label(self) -> str:
        return self.folder.name.removesuffix(".compared")

    @cached_property
    def table(self) -> Grid:
        rows = pd.read_csv(self.folder / "compared.csv")
        names = list(dict.fromkeys(rows["model"]))
        texts = compared_table(rows, names, "Models that differ in what their names say", [], pd.DataFrame())
        return Grid.of(texts, {f"{in_words(metric)} (95 %)": metric for metric in COMPARED})

    @cached_property
    def pictures(self) -> list[Figure]:
        return figures([file for file in [self.folder / "trainings.png"] if file.is_file()])


def comparisons(run: RunFolder) -> list[Comparison]:
    """The run's comparisons of retrained models, by name."""
    return [Comparison(file.parent) for file in sorted(run.path.glob("retrain/*.compared/compared.csv"))]


def retrained_models(run: RunFolder) -> tuple[list[RetrainedModel], list[str]]:
    """The run's models by name, and a line for each folder that can't be read."""
    models, damaged = [], []
    for folder in _folders(run):
        try:
            about = read_about(folder)
            metrics = read_json(folder / "metrics.json")
            _check(metrics)
        except (OSError, ValueError) as error:
            damaged.append(f"{folder.name} can't be read: {str(error).splitlines()[0]}")
        else:
            models.append(RetrainedModel(folder, about, metrics))
    return models, damaged


def _check(metrics: Any) -> None:
    """Raise a ValueError if the metrics lack a part that every retraining writes."""
    wanted = ("metric", "parts", "models", "history", "notes")
    missing = [key for key in wanted if not isinstance(metrics, dict) or key not in metrics]
    if missing:
        raise ValueError(f"metrics.json lacks {', '.join(missing)}")


def _folders(run: RunFolder) -> Iterator[Path]:
    for file in sorted(run.path.glob(f"retrain/*/{ABOUT}")):
        if not file.parent.name.startswith("."):
            yield file.parent


def _frame(records: list[dict[str, Any]]) -> pd.DataFrame:
    """A table that was kept as records, with its missing numbers."""
    frame = pd.DataFrame(records)
    texts = ("part", "label", "error", "model", "metric")
    return frame.astype(
        {name: float for name in frame.columns if name not in (*texts, "positive", "patients")}
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
