"""The test set, which no search uses, and the predictions made on it at the end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from analysis.ranking.trial import RankedTrial
from analysis.statistics.influence import Truth
from analysis.statistics.population import no_skill_rows
from ichtune.arrays import map_array
from ichtune.averaging import mean_prediction
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.json_text import read_json
from ichtune.runs.folder import RunFolder
from ichtune.training.batches import Fold

_FOLDS: Final = ".folds"


@dataclass(frozen=True)
class HeldOut:
    """The predictions of a run's trials on the test set, as kept in `RUN/test`."""

    run: RunFolder
    store: SliceStore

    @property
    def looks(self) -> list[dict[str, Any]]:
        """Each time that trials were scored on the test set: `at` (UTC) and `trials`."""
        file = self.run.path / "test" / "looks.json"
        return read_json(file) if file.is_file() else []

    @cached_property
    def truth(self) -> Truth:
        """The truth of the test set, as a single fold."""
        fold = Fold(0, self.store.train, self.store.test)
        return Truth(self.store.labels, self.store.patients, [fold])

    @cached_property
    def no_skill(self) -> dict[str, dict[str, float]]:
        """What no-skill predictors score on the test set, by predictor and metric."""
        return no_skill_rows(self.store, list(self.truth.folds))

    def logits(self, trial: RankedTrial) -> np.ndarray | None:
        """The trial's logits `[N, 6]` (float16, NaN outside the test set); None if it was not scored."""
        kept = self._kept(f"{trial.name}.npy")
        if kept is None:
            return None
        logits = np.full(self.store.labels.shape, np.nan, np.float16)
        logits[self.store.test] = kept
        return logits

    def by_fold(self, trial: RankedTrial) -> np.ndarray | None:
        """The logits of each fold's model on the test set, float16 `[F, n, 6]`; None if they were not kept."""
        return self._kept(f"{trial.name}{_FOLDS}.npy", folds=True)

    def _kept(self, name: str, *, folds: bool = False) -> np.ndarray | None:
        file = self.run.path / "test" / name
        if not file.is_file():
            return None
        try:
            kept = map_array(file)
        except ValueError as error:
            raise InputError(f"{file}: damaged ({error}); remove it and score the trial again") from None
        shape = self.store.labels[self.store.test].shape
        if kept.shape[1 if folds else 0 :] != shape or kept.dtype != np.float16:
            raise InputError(
                f"{file}: holds {kept.dtype} {kept.shape}, not the test set's float16 logits; remove it and score the "
                "trial again"
            )
        return kept

    def keep(self, by_fold: Mapping[str, np.ndarray]) -> None:
        """Save the logits of trials' folds on the test set (`[F, n, 6]`, by trial), and log that it was used for them.

        What a trial is scored by is the mean probability of its folds' models.
        """
        folder = self.run.path / "test"
        folder.mkdir(exist_ok=True)
        for name, logits in by_fold.items():
            _save(folder / f"{name}{_FOLDS}.npy", logits)
            _save(folder / f"{name}.npy", mean_prediction(logits))
        look = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "trials": list(by_fold)}
        with replacing(folder / "looks.json") as file:
            file.write_text(json.dumps([*self.looks, look], indent=2) + "\n")


def _save(path: Path, logits: np.ndarray) -> None:
    with replacing(path) as file, open(file, "wb") as stream:
        np.save(stream, logits.astype(np.float16))
