"""Phases of a training, each with its own optimizer and schedule."""

import math
from typing import TYPE_CHECKING, Any, Final

from ichtune.recipe.sections import Adam, Constant, Count, Optimizer, Schedule, Section, Trained

if TYPE_CHECKING:
    from ichtune.recipe.recipe import Recipe

_STAGES: Final = {"frozen": 0.0, "last": 1.0, "all": math.inf}


def breadth(train: Trained) -> float:
    """Return how many of the last stages of a backbone are trained; infinite for all."""
    return train if isinstance(train, int) else _STAGES[train]


class Phase(Section):
    """Some epochs of a training; in a recipe, what a phase doesn't say is as the recipe's own setting."""

    train: Trained = "frozen"
    """How much of the backbone is trained besides the head; otherwise `model.train`."""
    optimizer: Optimizer = Adam()
    schedule: Schedule = Constant()
    """The learning rate within the phase."""
    epochs: Count = 10
    """Otherwise `training.epochs`."""


def phases_of(recipe: "Recipe") -> tuple[Phase, ...]:
    """Return the phases of a training; a recipe without phases is a single one."""
    return recipe.phases or (Phase(**_own(recipe)),)


def with_whole_phases(recipe: "Recipe") -> dict[str, Any]:
    """Return the fields of a recipe with phases in which each phase says everything.

    The settings that then belong to the phases alone become what the training as a whole does: the widest `train`, and
    the sum of epochs; its own optimizer and schedule are the defaults, because no phase uses them.
    """
    own = _own(recipe)
    phases = tuple(
        phase.model_copy(update={key: own[key] for key in own.keys() - phase.model_fields_set})
        for phase in recipe.phases or ()
    )
    train = max((phase.train for phase in phases), key=breadth)
    epochs = sum(phase.epochs for phase in phases)
    return {
        "phases": phases,
        "model": recipe.model.model_copy(update={"train": train}),
        "optimizer": Adam(),
        "schedule": Constant(),
        "training": recipe.training.model_copy(update={"epochs": epochs}),
    }


def _own(recipe: "Recipe") -> dict[str, Any]:
    return {
        "train": recipe.model.train,
        "optimizer": recipe.optimizer,
        "schedule": recipe.schedule,
        "epochs": recipe.training.epochs,
    }
