"""The recipes that a run promoted from an earlier one: where each comes from, and the heads that it starts from."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from filecmp import cmpfiles
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
from ichtune.remote import is_uri
from ichtune.runs.folder import JOURNAL, PROMOTED, REQUEST, RERUNS, RunFolder
from ichtune.runs.records import ABOUT, EPOCHS
from ichtune.runs.trial_folder import OUT_OF_FOLD, SUMS

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

    def earlier(self, run: RunFolder) -> RunFolder:
        """Return the earlier run, if it is still at its place, or else its promoted trials as `run` kept them.

        Raises:
            InputError: neither is there, or what is now at its place has other trials.
        """
        kept = RunFolder(run.path / PROMOTED)
        has_copy = (kept.path / REQUEST).is_file()
        if has_copy and is_uri(self.run):
            return kept
        try:
            found = RunFolder.open(self.run)
        except InputError as error:
            if has_copy:
                return kept
            why = str(error) if is_uri(self.run) else f"{self.run} is gone"
            raise InputError(f"{run.name} kept no copy of the run that it promoted, and {why}") from None
        if has_copy:
            return found if self._are_in(found, kept) else kept
        gone = [one.trial for one in self.recipes if not found.trial(one.trial).path.is_dir()]
        if gone or found.request.fingerprint != run.request.fingerprint:
            raise InputError(
                f"{run.name} kept no copy of the run that it promoted, and what is now at {self.run} is another one"
            )
        return found

    def _are_in(self, found: RunFolder, kept: RunFolder) -> bool:
        """Whether a run has the promoted trials as they were; it may have been searched anew since."""
        names = [str(Path("trials") / one.trial / EPOCHS) for one in self.recipes]
        same, _, _ = cmpfiles(found.path, kept.path, names, shallow=False)
        return len(same) == len(names)


@dataclass(frozen=True)
class Promotion:
    """What a new run will promote, before anything is written."""

    promoted: Promoted
    recipes: dict[str, Recipe]
    """Each recipe by name, as the earlier run trained it."""
    heads: dict[str, Path]
    """The file of each recipe's heads, one head per fold."""
    earlier: Path
    """The earlier run's folder on this machine."""

    def write(self, run: RunFolder) -> None:
        """Copy heads, records and predictions into the new run, so that it needs the earlier one no more."""
        folder = run.path / PROMOTED
        folder.mkdir(parents=True, exist_ok=True)
        for name in (JOURNAL, RERUNS):
            _copy(self.earlier / name, folder / name)
        for recipe in self.promoted.recipes:
            _copy(self.heads[recipe.name], folder / f"{recipe.trial}.safetensors")
            trial = Path("trials") / recipe.trial
            for name in (ABOUT, EPOCHS, OUT_OF_FOLD, SUMS):
                _copy(self.earlier / trial / name, folder / trial / name)
        _copy(self.earlier / REQUEST, folder / REQUEST)  # last: with it, the copy is a run
        with replacing(folder / _ABOUT) as file:
            file.write_text(json.dumps(asdict(self.promoted), indent=2))
        run.push()


def _copy(source: Path, target: Path) -> None:
    """Copy a file, if there is one."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as file:
            shutil.copyfile(source, file)


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
