"""A recipe as a typed value."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import ValidationError

from ichtune.errors import InputError
from ichtune.recipe.finetuning import Finetuning
from ichtune.recipe.heads import Head, Linear
from ichtune.recipe.refusals import refusals
from ichtune.recipe.sections import (
    BCE,
    Adam,
    Constant,
    Level,
    Loss,
    Model,
    Optimizer,
    Schedule,
    Section,
    Training,
)


class RecipeError(InputError):
    """An invalid recipe; the message has a line for every problem."""


class Recipe(Section):
    """Everything that defines a training, apart from the data."""

    model: Model = Model()
    head: Head = Linear()
    loss: Loss = BCE()
    optimizer: Optimizer = Adam()
    schedule: Schedule = Constant()
    sampler: Literal["shuffle", "oversample"] = "shuffle"
    augmentation: Level = "normal"
    training: Training = Training()
    finetuning: Finetuning = Finetuning()

    @classmethod
    def parse(cls, data: Mapping[str, object], where: str) -> Self:
        """Parse nested plain values into a recipe; `where` names their place in messages.

        Raises:
            RecipeError: a line for every problem, with place, rule, value and fix.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            lines = refusals(error, cls)
        raise RecipeError("\n".join(f"{where}: {line}" for line in lines))
