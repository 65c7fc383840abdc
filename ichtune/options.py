"""Settings that are also command-line options: default, help, flag and limits are defined once, at the field."""

from dataclasses import Field, dataclass, field, fields
from typing import Any, Final

_KEY: Final = "option"


@dataclass(frozen=True)
class Option:
    """How to set a field of a settings dataclass by flag or environment variable."""

    name: str
    """Name of the field."""
    default: Any
    help: str
    flag: str
    """`--time-budget`"""
    limits: dict[str, Any]
    """Keyword arguments for typer: `min`, `max`, `metavar`."""
    recipe_key: str
    """The recipe key that it changes, such as `training.epochs`; empty if it changes none."""

    @property
    def variable(self) -> str:
        """`ICHTUNE_TIME_BUDGET`"""
        return f"ICHTUNE_{self.flag.removeprefix('--').replace('-', '_').upper()}"


def option(default: Any, help: str, *, flag: str = "", recipe_key: str = "", **limits: Any) -> Any:
    """Return a dataclass field that is also an option; the flag defaults to the field's name."""
    return field(default=default, metadata={_KEY: (help, flag, recipe_key, limits)})


def options_of(settings: Any) -> list[Option]:
    """Return the options of a settings dataclass, in the order of its fields."""
    return [_option(found) for found in fields(settings) if _KEY in found.metadata]


def _option(found: Field[Any]) -> Option:
    help, flag, recipe_key, limits = found.metadata[_KEY]
    flag = f"--{flag or found.name.replace('_', '-')}"
    return Option(found.name, found.default, help, flag, limits, recipe_key)
