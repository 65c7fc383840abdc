"""Heads: what turns features into logits, trained for all folds side by side."""

from collections.abc import Sequence

from ichtune.models.heads.linear import LinearHeads
from ichtune.models.heads.protocol import Heads, HeadState
from ichtune.recipe import Recipe

__all__ = ["HeadState", "Heads", "LinearHeads", "make_heads"]


def make_heads(recipe: Recipe, width: int, folds: Sequence[int]) -> Heads:
    """The heads that a recipe trains on `width` features, one for each fold's number, as they start."""
    return LinearHeads(width, folds, recipe.training.seed)
