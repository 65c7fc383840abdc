"""One training of a retraining: with its backbone, on one fold's training part or on all training slices."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.retraining.resumable import ResumableTraining
from ichtune.inference.model_folder import read_networks
from ichtune.models.heads import HeadState
from ichtune.models.heads.saved import exported_state
from ichtune.models.network import Network
from ichtune.progress import Report
from ichtune.recipe import Recipe
from ichtune.training.batches import Fold, Source
from ichtune.training.experiment import Experiment, open_store, units_of
from ichtune.training.fit import fit
from ichtune.training.team import ALONE, Team
from ichtune.training.units import Units


@dataclass(frozen=True)
class Member:
    """A training by itself, with everything that it depends on: it can run in any process that sees the store."""

    name: str
    experiment: Experiment
    recipe: Recipe
    fold: Fold
    """Its training rows, and the validation rows that choose its best epoch; without any, its last one is kept."""
    head: HeadState | None
    """What its head starts as; None for a random one."""
    metric: str
    settings: dict[str, Any]
    """Everything that the training depends on, as plain data by dotted key."""
    until: int | None = None
    """The epochs to train if the recipe's schedule is to be cut short."""
    start: Path | None = None
    """Folder of the model whose weights it starts from; None for the recipe's own and `head`."""

    @property
    def epochs(self) -> int:
        return self.until or self.recipe.training.epochs

    @property
    def units(self) -> Units:
        """What the head reads at a time: slices or scans."""
        return units_of(open_store(self.experiment.store), self.recipe.head)

    def begun(self, work: Path, *, writes: bool = True) -> ResumableTraining:
        """The training as far as it has come in a working folder.

        Raises:
            InputError: its checkpoint is damaged, or belongs to a training with other settings.
        """
        whole = bool(len(self.fold.valid))
        patience = self.recipe.training.patience if whole else None
        return ResumableTraining(
            work / f"{self.name}.pt",
            self.settings | ({} if self.until is None else {"until": self.until}),
            metric=self.metric,
            epochs=self.epochs,
            patience=patience,
            keeps_last=not whole,
            writes=writes,
        )

    def train(
        self, work: Path, device: torch.device, threads: int, report: Report, team: Team = ALONE
    ) -> None:
        """Train to the end, from the last checkpoint on; `report` receives images done, their total, and a remark.

        The members of a `team` call this together; each counts its own images.

        Raises:
            InputError: see `begun`; or the training diverged at once.
        """
        training = self.begun(work, writes=team.leads)
        if training.ended:
            return
        network = self.network()
        images = _Watched(self, network, training, threads, report)
        results = fit(
            network,
            images,
            open_store(self.experiment.store).labels,
            [self.fold],
            self.recipe,
            device=device,
            resume=training.state,
            units=self.units,
            team=team,
        )
        for record in training.run(results):
            best = f", best {self.metric} {training.best.value:.4f}" if training.best.epoch else ""
            images.remark = f"{record['epoch']} of {self.epochs} epochs{best}"

    def network(self) -> Network:
        """The network at the start of the training."""
        if self.start is not None:
            return self._continued(self.start)
        network = self.experiment.network(self.recipe, self.fold)
        if self.head is not None:
            network.heads.load(0, self.head)
        return network

    def _continued(self, start: Path) -> Network:
        """The network with the weights of the model in a folder."""
        _, (model,) = read_networks(start)
        # All its weights come from the model, so none have to be obtained or drawn.
        shape = self.recipe.model.model_copy(update={"weights": "random"})
        network = self.experiment.network(self.recipe.model_copy(update={"model": shape}), self.fold)
        assert network.backbone is not None, "a model of images has a backbone"
        network.backbone.load_state_dict(model.backbone.state_dict())
        network.heads.load(0, exported_state(model.head))
        return network

    def trained(self, training: ResumableTraining) -> Network:
        """The network after the epoch that an ended training kept."""
        network = self.network()
        network.load_trained_state(training.weights)
        return network

    @property
    def images_of_epoch(self) -> int:
        """About how many images an epoch reads."""
        steps, training = self.recipe.training.steps, self.recipe.training
        drawn = len(self.fold.train) if steps is None else steps * training.batch_size
        return drawn + len(self.fold.valid)


class _Watched:
    """The images of a training, with a report of how many were delivered."""

    def __init__(
        self, member: Member, network: Network, training: ResumableTraining, threads: int, report: Report
    ) -> None:
        self.source: Source = member.experiment.images(member.recipe, threads)
        # A fresh head that normalises by the training part reads it once before the first epoch.
        before = len(member.fold.train) if network.heads.normalization.lacks_statistics(0) else 0
        self.done = before + len(training.history) * member.images_of_epoch if training.state else 0
        self.total = before + member.epochs * member.images_of_epoch
        self.report, self.remark = report, ""

    def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
        for images in self.source.batches(chunks, epoch):
            self.done += len(images)
            self.report(min(self.done, self.total), self.total, self.remark)
            yield images
