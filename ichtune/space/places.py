"""Where in a recipe a value belongs, and what the recipe types accept there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError

from ichtune.recipe import Recipe, Section
from ichtune.recipe.refusals import refusals, variants
from ichtune.space.distributions import Choice, Node, SpaceError

SECTIONS = tuple(Recipe.model_fields)


@dataclass(frozen=True)
class Place:
    """A section of the recipe, which of its variants are allowed there, and one of its keys."""

    section: str
    names: tuple[Any, ...] = ()
    """The names that a section with variants (loss, optimizer, schedule) may have here."""
    key: str | None = None
    """None: the section itself."""

    def __str__(self) -> str:
        return self.section if self.key is None else f"{self.section}.{self.key}"

    def at(self, key: str) -> "Place":
        return replace(self, key=key)

    def of(self, node: Mapping[str, Node]) -> "Place":
        """The place of a mapping of that section, whose `name` selects the variant."""
        name = node.get("name")
        return replace(self, names=name.labels if isinstance(name, Choice) else (name,)) if name else self

    @property
    def variants(self) -> dict[str, type[BaseModel]]:
        return variants(Recipe, self.section)

    @cached_property
    def types(self) -> tuple[type[BaseModel], ...]:
        """The types that the section may be here; none where it is a plain value (`augmentation`)."""
        if self.variants:
            return tuple(self.variants[name] for name in self.names)
        annotation: Any = Recipe.model_fields[self.section].annotation
        return (annotation,) if isinstance(annotation, type) and issubclass(annotation, Section) else ()

    @property
    def all_keys(self) -> list[str]:
        """The keys of the section's variants together; none where it is a plain value."""
        types = replace(self, names=tuple(self.variants)).types
        return list(dict.fromkeys(key for each in types for key in each.model_fields))

    def accept(self, value: object) -> Any:
        """The value as the recipe holds it: `brain` as `("brain",)`, 1 as 1.0.

        Raises:
            SpaceError: a recipe type refuses it.
        """
        if self.key is None:
            return getattr(checked({self.section: value}), self.section)
        names = [{"name": name} for name in self.names] or [{}]
        sections = [
            getattr(checked({self.section: {**name, self.key: value}}), self.section) for name in names
        ]
        return getattr(sections[0], self.key)

    @property
    def own_default(self) -> Any:
        """What the recipe types have here by themselves."""
        if self.key is None:
            return Recipe.model_fields[self.section].default
        return self.types[0].model_fields[self.key].default


def checked(data: Mapping[str, object]) -> Recipe:
    """The recipe that `data` describes.

    Raises:
        SpaceError: the recipe types refuse it; a line for every problem.
    """
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise SpaceError("\n".join(refusals(error, Recipe))) from None
