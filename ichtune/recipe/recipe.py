"""A recipe as a typed value."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import ValidationError, field_validator, model_validator

from ichtune.errors import InputError
from ichtune.recipe.augmentation import Level
from ichtune.recipe.finetuning import Finetuning
from ichtune.recipe.heads import Head, Linear
from ichtune.recipe.phases import Phase, with_whole_phases
from ichtune.recipe.refusals import refusals
from ichtune.recipe.sections import (
    BCE,
    Adam,
    Constant,
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
    phases: tuple[Phase, ...] | None = None
    """Trained one after the other, with the same network; patience and the best epoch are those of all epochs."""

    @field_validator("phases")
    @classmethod
    def _phases_train_something(cls, phases: tuple[Phase, ...] | None) -> tuple[Phase, ...] | None:
        if phases == ():
            raise ValueError("an empty list never trains anything; leave phases out, or give at least one")
        return phases

    @model_validator(mode="after")
    def _every_phase_is_whole(self) -> Self:
        if self.phases:
            vars(self).update(with_whole_phases(self))  # a frozen model refuses assignments
        return self

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
