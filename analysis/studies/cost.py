"""What a reproduction costs: trainings, epochs and an estimate of the time on this machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from analysis.studies.plan import Command, Reproduction
from ichtune.models.backbones import build_backbone
from ichtune.recipe import Model
from ichtune.runs.settings import SearchSettings
from ichtune.space import Space

_BATCH = 16


@dataclass(frozen=True)
class Cost:
    """What a step costs; nothing is stopped early."""

    trainings: int
    epochs: int
    """Of each training, at most."""
    images: int
    """Images that pass through a backbone."""
    seconds: float


def cost(planned: Reproduction, command: Command) -> Cost | None:
    """Return the cost of a search or retraining, from timing its networks briefly; None of any other command.

    Heads on a frozen backbone are nearly free, so of those only the feature bank counts.
    """
    if command.step.command == "search":
        return _of_search(planned, command)
    return _of_retraining(planned, command) if command.step.command == "retrain" else None


def _of_search(planned: Reproduction, command: Command) -> Cost:
    options, store, space = command.options, planned.store, command.space
    assert space is not None, "a search has a space"
    usual = SearchSettings()
    trials = int(options.get("trials", usual.trials)) * int(options.get("repeats", usual.repeats))
    folds, views = int(options.get("folds", store.info.folds)), int(options.get("views", usual.views))
    models = list(dict.fromkeys(variant.model for variant in space.models()))
    images, seconds = 0, 0.0
    for model in models:
        if model.train == "frozen":
            number = len(store.train) * (1 + views * sum(level != "normal" for level in space.levels()))
        else:
            number = round(trials / len(models) * space.max_epochs * folds * _epoch(space, len(store.train)))
        images, seconds = images + number, seconds + number / _rate(model, trained=model.train != "frozen")
    return Cost(trials * folds, space.max_epochs, images, seconds)


def _of_retraining(planned: Reproduction, command: Command) -> Cost:
    options, changes = command.options, command.options["set"]
    searched = Path(command.arguments[1]).name
    space = next(each.space for each in planned.commands if each.step.name == searched)
    assert space is not None, "a retraining is of a search before it"
    epochs = changes.get("training.epochs", space.max_epochs)
    trainings = int(options.get("folds", 1)) * int(options.get("seeds", 1))
    model = space.models()[0].model.model_copy(update={"train": options.get("train", "all")})
    if model.train == "frozen":
        return Cost(0, 0, 0, 0.0)
    images = trainings * epochs * _epoch(space, len(planned.store.train))
    return Cost(trainings, epochs, images, images / _rate(model, trained=True))


def _epoch(space: Space, slices: int) -> int:
    """The images of an epoch, training and validation, at most."""
    training = space.recipe(next(iter(space.points.values()))).training
    return slices if training.steps is None else min(slices, training.steps * training.batch_size)


@cache
def _rate(model: Model, *, trained: bool) -> float:
    """Images per second of a network on this machine."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    drawn = model.model_copy(update={"weights": "random"})  # as fast as any, without a download
    backbone = build_backbone(drawn, seed=0).to(device).train(trained)
    images = torch.rand(_BATCH, model.channels, model.size, model.size, device=device)

    def step() -> None:
        with torch.set_grad_enabled(trained):
            features = backbone(images)
        if trained:
            features.sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    step()
    return _BATCH / _seconds(step)


def _seconds(step: Callable[[], None]) -> float:
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun
