"""Heads, which turn features into logits; those of all folds are trained side by side."""

from collections.abc import Sequence

from ichtune.models.heads.linear import LinearHeads
from ichtune.models.heads.protocol import Heads, HeadState
from ichtune.recipe import Recipe

__all__ = ["HeadState", "Heads", "LinearHeads", "make_heads"]


def make_heads(recipe: Recipe, width: int, folds: Sequence[int]) -> Heads:
    """Return a recipe's untrained heads on `width` features, one for each fold number."""
    return LinearHeads(width, folds, recipe.training.seed)
