"""Where a model is: in a folder or at a URI, of which this machine keeps a copy."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from rich.console import Console

from ichtune.inference.about import ABOUT, ModelError, read_about
from ichtune.inference.model_folder import WEIGHTS
from ichtune.inference.training_data import FILE as TRAINING_DATA
from ichtune.progress import progress
from ichtune.remote import Remote, is_uri, refuse_credentials

FILES: Final = (ABOUT, WEIGHTS, TRAINING_DATA)
"""The files of a model, or of each member of an ensemble, that are copied."""


@dataclass(frozen=True)
class ModelPlace:
    """A model's folder on this machine; that of a model at a URI is a copy in the user's cache."""

    folder: Path
    uri: str | None = None

    @classmethod
    def of(cls, place: "str | Path | ModelPlace") -> "ModelPlace":
        """Return the place of the model in a folder, or at a URI: there, what has changed is downloaded first.

        Raises:
            ModelError: there is no model at the URI, or its description is damaged.
            InputError: the URI can't be reached, or holds credentials.
        """
        if isinstance(place, ModelPlace):
            return place
        if not is_uri(place):
            return cls(Path(place))
        refuse_credentials("MODEL", str(place))
        remote = Remote(str(place))
        if not remote.has(ABOUT):
            raise ModelError(f"{remote.uri}: no model here (no {ABOUT}); check the URI")
        copy = remote.cached("models")
        _copy(remote, copy)
        return cls(copy, remote.uri)

    def __str__(self) -> str:
        return self.uri or str(self.folder)

    @property
    def name(self) -> str:
        """The model's name, that of its folder."""
        return Path(os.path.abspath(self.folder)).name

    def results(self, name: str) -> Path:
        """Return where something that is made of the model goes by default: into its folder.

        For a model at a URI, or in a read-only folder, it is the current folder, under a name that begins with the
        model's.
        """
        if self.uri is None and os.access(self.folder, os.W_OK):
            return self.folder / name
        return Path.cwd() / f"{self.name}-{name}"


def _copy(remote: Remote, copy: Path) -> None:
    """Bring the copy of a model up to date."""
    remote.pull(copy, ABOUT.__eq__)
    members = read_about(copy).members
    files = {*FILES, *(f"{member}/{file}" for member in members for file in FILES)}
    with ExitStack() as stack:
        # Shown only if something has changed.
        shown = cache(
            lambda: stack.enter_context(progress(f"copying {remote.name}", "B", Console(stderr=True)))
        )
        remote.pull(copy, files.__contains__, report=lambda *state: shown()(*state))
    for gone in files - remote.files().keys():
        (copy / gone).unlink(missing_ok=True)
