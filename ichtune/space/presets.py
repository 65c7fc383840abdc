"""The search spaces that come with the package, and finding a space by name or path."""

from pathlib import Path

import ichtune
from ichtune.space.distributions import SpaceError
from ichtune.wording import did_you_mean

_PACKAGE = Path(ichtune.__file__).parent
# They are inside the package in an installed wheel, and at the top level of a checkout.
_FOLDERS = (_PACKAGE / "search_spaces", _PACKAGE.parent / "search_spaces")


def presets() -> dict[str, Path]:
    """Return the presets' files by name, in alphabetical order."""
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))} if folder else {}


def locate(name_or_path: str | Path) -> Path:
    """Return the file of a preset (`quick`) or a path (`my.yaml`, `spaces/mine.yml`).

    Raises:
        SpaceError: there is no preset of that name.
    """
    path = Path(name_or_path)
    if isinstance(name_or_path, Path) or path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return path
    known = presets()
    if str(name_or_path) not in known:
        raise SpaceError(
            f"{name_or_path!r} is not one of the presets {', '.join(known)}{did_you_mean(name_or_path, known)} "
            "(name a file with its extension, such as my.yaml)"
        )
    return known[str(name_or_path)]
