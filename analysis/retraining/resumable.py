"""A training session of one fold that keeps its best weights and survives being killed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from analysis.retraining.course import Course
from ichtune.errors import InputError
from ichtune.runs.best_epoch import BestEpoch
from ichtune.runs.ends import TrialEnd
from ichtune.training.checkpoint import DamagedCheckpoint, load_checkpoint, save_checkpoint
from ichtune.training.results import EpochResult
from ichtune.training.session import SessionEpoch, TrainingSession
from ichtune.wording import plain


class ResumableTraining:
    """A training whose state is saved after every epoch, so that it can resume."""

    def __init__(
        self,
        file: Path,
        settings: dict[str, Any],
        *,
        metric: str,
        epochs: int,
        patience: int | None,
        keeps_last: bool = False,
        writes: bool = True,
    ) -> None:
        """Load the file if there is one. `settings` (plain data) is everything that the training depends on.

        Of several processes that train together, only one `writes` the file. With `keeps_last`, the last epoch's
        weights are kept, as nothing chooses another.

        Raises:
            InputError: the file is damaged, or belongs to a training with other settings.
        """
        self.file = file
        self.settings, self.keeps_last, self.writes = settings, keeps_last, writes
        self.session = TrainingSession(metric, epochs=epochs, patience=patience)
        self.weights: dict[str, torch.Tensor] = {}
        """The best epoch's weights, in the format of `Network.load_trained_state`."""
        self.history: list[dict[str, Any]] = []
        """One record per epoch, as returned by `EpochRecord.of_fold`."""
        self.logits: list[torch.Tensor] = []
        """The logits of the validation slices after each epoch, float32 `[n, 6]`."""
        self.state: dict[str, Any] | None = None
        """The state that `fit` resumes from; None before the first epoch."""
        if file.is_file():
            self._load()

    @property
    def best(self) -> BestEpoch:
        return self.session.best

    @property
    def ended(self) -> TrialEnd | None:
        return self.session.ended

    @property
    def course(self) -> Course:
        """How the training went, once it has ended."""
        assert self.ended, "a training that has ended"
        kept = len(self.history) if self.keeps_last else self.best.epoch
        return Course(self.file.stem, self.history, kept, self.ended)

    @property
    def finished(self) -> int:
        """The number of epochs without the one in which the training diverged, if it did."""
        return len(self.history) - (self.ended == TrialEnd.DIVERGED)

    def run(self, results: Iterator[EpochResult]) -> Iterator[dict[str, Any]]:
        """Consume the results of `fit`, from `state` on, until the training ends; yields each epoch's record.

        Raises:
            InputError: the training diverged before its metric was ever defined.
        """
        for epoch in self.session.run(results):
            self._take(epoch)
            if self.writes:
                self._save()
            yield self.history[-1]

    def _take(self, epoch: SessionEpoch) -> None:
        self.state = epoch.result.state()
        if epoch.is_best or self.keeps_last:
            self.weights = self.state["network"]
        self.history.append(epoch.record.of_fold(0))
        self.logits.append(torch.from_numpy(epoch.result.logits[0]))
        if self.ended and (not self.weights or (self.keeps_last and epoch.result.diverged)):
            raise InputError(
                f"optimizer.lr: the training diverged in epoch {epoch.record.epoch}, before {self.best.metric} was "
                f"defined in any epoch; use a lower --lr than {plain(epoch.record.lr[0])}"
            )

    def _save(self) -> None:
        content = {
            "settings": self.settings,
            "state": self.state,
            **self.session.state_dict(),
            "weights": self.weights,
            "history": self.history,
            "logits": self.logits,
            "ended": self.ended and str(self.ended),
        }
        save_checkpoint(self.file, content)

    def _load(self) -> None:
        try:
            content = load_checkpoint(self.file)
        except (OSError, DamagedCheckpoint) as error:
            raise InputError(f"{self.file}: damaged ({error}); delete it to start over") from None
        self._check(content["settings"])
        if not {"by_others", "logits"} <= content.keys():
            raise InputError(f"{self.file}: from an earlier version of ichtune; delete it to start over")
        self.session.resume(content)
        self.session.ended = content["ended"] and TrialEnd(content["ended"])
        self.state, self.weights = content["state"], content["weights"]
        self.history, self.logits = content["history"], content["logits"]

    def _check(self, settings: dict[str, Any]) -> None:
        keys = [key for key in {**settings, **self.settings} if settings.get(key) != self.settings.get(key)]
        if keys:
            changes = (
                f"{key} was {plain(settings.get(key))}, now {plain(self.settings.get(key))}" for key in keys
            )
            raise InputError(
                f"{self.file.parent}: holds an unfinished training with other settings ({'; '.join(changes)}); choose "
                "another --label, or delete the folder to start over"
            )
