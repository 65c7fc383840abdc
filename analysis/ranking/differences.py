"""The differences between two recipes."""

from typing import Final, NamedTuple

from ichtune.recipe import Recipe
from ichtune.recipe.flat import flat
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


def _brief(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else plain(value)
