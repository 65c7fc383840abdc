"""The recipes that a run promoted from an earlier one: where each comes from, and the heads that it starts from."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load_file

from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.json_text import read_json
from ichtune.models.heads import HeadState
from ichtune.models.heads.saved import unpack
from ichtune.recipe import Recipe
from ichtune.runs.folder import PROMOTED, RunFolder

_ABOUT: Final = "recipes.json"


@dataclass(frozen=True)
class PromotedRecipe:
    """A recipe of an earlier run, in which it was trained on a frozen backbone."""

    name: str
    """Its name among the recipes of the new run's space."""
    trial: str
    """The name of the trial's folder in the earlier run."""
    rank: int
    """Its rank there, counted from 1."""


@dataclass(frozen=True)
class Promoted:
    """All recipes that a run promoted."""

    run: str
    """The earlier run's folder or URI."""
    recipes: tuple[PromotedRecipe, ...]

    @classmethod
    def of(cls, run: RunFolder) -> "Promoted | None":
        """Return what a run promoted; None if it is an ordinary search.

        Raises:
            InputError: the record is damaged.
        """
        file = run.path / PROMOTED / _ABOUT
        if not file.is_file():
            return None
        try:
            data = read_json(file)
            return cls(data["run"], tuple(PromotedRecipe(**recipe) for recipe in data["recipes"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}: damaged ({error!r})") from None


@dataclass(frozen=True)
class Promotion:
    """What a new run will promote, before anything is written."""

    promoted: Promoted
    recipes: dict[str, Recipe]
    """Each recipe by name, as the earlier run trained it."""
    heads: dict[str, Path]
    """The file of each recipe's heads, one head per fold."""

    def write(self, run: RunFolder) -> None:
        """Copy the heads into the new run, so that it needs the earlier one no more."""
        folder = run.path / PROMOTED
        folder.mkdir(parents=True, exist_ok=True)
        for recipe in self.promoted.recipes:
            with replacing(folder / f"{recipe.trial}.safetensors") as file:
                shutil.copyfile(self.heads[recipe.name], file)
        with replacing(folder / _ABOUT) as file:
            file.write_text(json.dumps(asdict(self.promoted), indent=2))
        run.push()


def promoted_heads(run: RunFolder, name: str, folds: Sequence[int]) -> list[HeadState]:
    """Return the heads of a promoted recipe for these folds, in the format of `Heads.load`.

    Raises:
        InputError: they are missing or damaged.
    """
    folder = run.path / PROMOTED
    if run.remote and not (folder / _ABOUT).is_file():
        (run.remote / PROMOTED).pull(folder)
    promoted = Promoted.of(run)
    trial = next((one.trial for one in promoted.recipes if one.name == name), None) if promoted else None
    file = folder / f"{trial}.safetensors"
    try:
        tensors = load_file(file)
        return [unpack(tensors, fold) for fold in folds]
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"{file}: the heads of recipe {name} can't be read ({error})") from None
