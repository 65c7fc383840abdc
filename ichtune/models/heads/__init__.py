"""Heads, which turn features into logits; those of all folds are trained side by side."""

from collections.abc import Sequence
from functools import partial

from ichtune.models.heads.linear import LinearHeads
from ichtune.models.heads.protocol import Heads, HeadState, Sizes
from ichtune.models.heads.scan_reader import ScanHeads, ScanReader
from ichtune.models.heads.separate import HiddenLayer, SeparateHeads
from ichtune.recipe import MLP, Linear, Recipe

__all__ = ["HeadState", "Heads", "LinearHeads", "Sizes", "make_heads"]


def make_heads(recipe: Recipe, width: int, folds: Sequence[int]) -> Heads:
    """Return a recipe's untrained heads on `width` features, one for each fold number."""
    head, seed = recipe.head, recipe.training.seed
    match head:
        case Linear():
            return LinearHeads(width, folds, seed, head.normalize)
        case MLP():
            return SeparateHeads(width, folds, seed, partial(HiddenLayer, head), head.normalize)
        case _:
            return ScanHeads(width, folds, seed, partial(ScanReader, head), head.normalize)
