"""The request of a search: `search.yaml` as a typed value."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ichtune.cross_validation import CrossValidation
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.remote import absolute, is_uri
from ichtune.runs.settings import SearchSettings
from ichtune.space import Space

SEARCHED_WITH = ("ichtune", "ray", "optuna", "torch", "torchvision", "monai", "albumentations", "numpy")


@dataclass(frozen=True)
class SearchRequest:
    """Everything that was requested of a search, resolved."""

    data: str | Path
    """Path or URI of the slice store when the search last started."""
    fingerprint: str
    """The store's fingerprint."""
    folds: int
    space: Space
    settings: SearchSettings
    versions: dict[str, str]
    """Versions of the libraries that ran the search."""

    @classmethod
    def now(cls, store: SliceStore, space: Space, settings: SearchSettings) -> "SearchRequest":
        """Return the request of a search that starts in this environment."""
        versions = installed(SEARCHED_WITH)
        folds = settings.folds or store.info.folds
        return cls(store.place, store.fingerprint, folds, space, settings, versions)

    @property
    def validation(self) -> CrossValidation:
        """On which folds each trial is scored."""
        return CrossValidation(self.folds, self.settings.repeats_cv, self.settings.repeats)

    @classmethod
    def parse(cls, data: Mapping[str, Any], where: str) -> "SearchRequest":
        """Parse the content of `search.yaml`; `where` names the file in messages.

        Ignores settings that this version doesn't know.

        Raises:
            InputError: something is missing, or the space is invalid.
        """
        known = {field.name for field in fields(SearchSettings)}
        try:
            earlier: dict[str, Any] = {"engine": "torch"}  # the only one of earlier versions
            settings = earlier | {key: value for key, value in data["settings"].items() if key in known}
            return cls(
                data=data["data"] if is_uri(data["data"]) else Path(data["data"]),
                fingerprint=data["fingerprint"],
                folds=data["folds"],
                space=Space.parse(data["space"], where),
                settings=SearchSettings(**settings),
                versions=dict(data["versions"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{where}: not the request of a search: {error!r}") from None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for `search.yaml`."""
        return {
            "data": str(self.data),
            "fingerprint": self.fingerprint,
            "folds": self.folds,
            "space": self.space.as_dict(),
            # The folder knows where it is, and a URI might contain credentials.
            "settings": {name: value for name, value in self.settings.as_dict().items() if name != "runs"},
            "versions": self.versions,
        }

    def open_store(self, data: str | Path | None = None) -> SliceStore:
        """Open the store that was searched, at `data` if it was moved.

        Raises:
            InputError: the store is missing, or is another one.
        """
        path = absolute(data or self.data)
        if isinstance(path, Path) and not (path / "store.json").is_file():
            raise InputError(
                f"{path}: the store of this run is not here (its fingerprint is {self.fingerprint}); pass its "
                "current folder with --data"
            )
        store = SliceStore.open(path)
        if store.fingerprint != self.fingerprint:
            raise InputError(
                f"{store.place}: not the store of this run: its fingerprint is {store.fingerprint}, the run's "
                f"{self.fingerprint}; pass that store with --data, or start a new run on this one"
            )
        return store


def installed(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of installed packages by name."""
    return {name: version(name) for name in packages}
