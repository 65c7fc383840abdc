"""Places in a recipe, and what the recipe types accept there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ichtune.recipe import Augmentation, Recipe, Section
from ichtune.recipe.refusals import item_type, refusals, variants
from ichtune.space.distributions import Choice, Node, SpaceError
from ichtune.space.walks import corners

SECTIONS = tuple(Recipe.model_fields)


@dataclass(frozen=True)
class Place:
    """A section of a recipe or of one of its phases, its allowed variants, and one of its keys."""

    section: str
    names: tuple[Any, ...] = ()
    """The allowed names of a section with variants (loss, optimizer, schedule)."""
    key: str | None = None
    """None for the section itself."""
    owner: type[BaseModel] = Recipe
    """The type that has the section."""

    def __str__(self) -> str:
        return self.section if self.key is None else f"{self.section}.{self.key}"

    def at(self, key: str) -> "Place":
        return replace(self, key=key)

    def of(self, node: Mapping[str, Node]) -> "Place":
        """Return the place of a mapping for this section, whose `name` selects the variant."""
        name = node.get("name")
        return replace(self, names=name.labels if isinstance(name, Choice) else (name,)) if name else self

    @property
    def variants(self) -> dict[str, type[BaseModel]]:
        return variants(self.owner, self.section)

    @property
    def item(self) -> type[BaseModel] | None:
        """The type of each item if the section is a list of sections."""
        return item_type(self.owner, self.section)

    @cached_property
    def types(self) -> tuple[type[BaseModel], ...]:
        """The types that the section may have here; empty if it is a plain value (`augmentation`)."""
        if self.variants:
            return tuple(self.variants[name] for name in self.names)
        annotation: Any = self.owner.model_fields[self.section].annotation
        return (annotation,) if isinstance(annotation, type) and issubclass(annotation, Section) else ()

    @property
    def is_named_list(self) -> bool:
        """Whether a mapping here is a single value: an augmentation with its transforms."""
        kinds = get_args(self.owner.model_fields[self.section].annotation)
        return self.key is None and Augmentation in kinds

    @property
    def all_keys(self) -> list[str]:
        """Return the keys of all the section's variants; empty if it is a plain value."""
        types = replace(self, names=tuple(self.variants)).types
        return list(dict.fromkeys(key for each in types for key in each.model_fields))

    def accept(self, value: object) -> Any:
        """Return the value as the recipe holds it: `brain` as `("brain",)`, 1 as 1.0.

        Raises:
            SpaceError: a recipe type refuses it.
        """
        if self.key is None:
            return getattr(self._checked(value), self.section)
        names = [{"name": name} for name in self.names] or [{}]
        sections = [getattr(self._checked({**name, self.key: value}), self.section) for name in names]
        return getattr(sections[0], self.key)

    def check(self, node: dict[str, Node]) -> None:
        """Refuse combinations of a mapping's keys that the recipe types refuse.

        Raises:
            SpaceError: with the recipe type's message.
        """
        for corner in corners(node):
            self._checked(corner)

    @property
    def own_default(self) -> Any:
        """Return the recipe types' default here."""
        if self.key is None:
            return self.owner.model_fields[self.section].default
        return self.types[0].model_fields[self.key].default

    def _checked(self, value: object) -> BaseModel:
        """Return what has this value for the section, and defaults otherwise.

        Raises:
            SpaceError: the recipe types refuse it; a line for every problem.
        """
        try:
            return self.owner.model_validate({self.section: value})
        except ValidationError as error:
            raise SpaceError("\n".join(refusals(error, self.owner))) from None
