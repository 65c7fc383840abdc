"""The differences between two recipes."""

from typing import Any, Final, NamedTuple

from ichtune.recipe import Recipe
from ichtune.wording import plain

OF_FEATURES: Final = (
    "model",
    *(f"model.{key}" for key in ("backbone", "weights", "windows", "neighbours", "widths")),
)
"""What makes features others."""


class Difference(NamedTuple):
    """One setting in which a retraining differs from the search's training of the same recipe."""

    what: str
    searched: object
    retrained: object

    @property
    def change(self) -> str:
        """The change in words, e.g. `0.003 -> 0.0003`."""
        return f"{_brief(self.searched)} -> {_brief(self.retrained)}"

    def __str__(self) -> str:
        return f"{self.what} {self.change}"


def recipe_differences(searched: Recipe, retrained: Recipe) -> list[Difference]:
    """The values in which two recipes differ, or that only one of them has."""
    before, after = flat(searched), flat(retrained)
    keys = dict.fromkeys((*before, *after))
    return [
        Difference(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)
    ]


def is_of_head(key: str) -> bool:
    """Whether a trained head depends on this key: on what it is, or on the features that it reads.

    Not the size of images, with which a network's features change little.
    """
    section = key.partition(".")[0]
    return (section == "head" and key != "head.dropout") or key in OF_FEATURES


def head_misfit(searched: Recipe, retrained: Recipe) -> Difference | None:
    """The first difference between two recipes because of which the head of one doesn't fit the other."""
    return next((each for each in recipe_differences(searched, retrained) if is_of_head(each.what)), None)


def flat(recipe: Recipe) -> dict[str, Any]:
    """A recipe's values as plain data, by dotted key."""
    data = recipe.model_dump(mode="json")
    phases = data.pop("phases") or []
    values: dict[str, Any] = {}
    for section, value in data.items():
        values |= _by_key(section, value)
    if phases:  # the recipe's own are not used
        values = {
            key: value for key, value in values.items() if not key.startswith(("optimizer.", "schedule."))
        }
    for number, phase in enumerate(phases, start=1):
        for section, value in phase.items():
            values |= _by_key(f"phases.{number}.{section}", value)
    return values


def _by_key(name: str, value: Any) -> dict[str, Any]:
    return (
        {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
    )


def _brief(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else plain(value)
