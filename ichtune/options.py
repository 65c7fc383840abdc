"""Settings that are also options of a command: default, help, flag and limits in one place, the field itself."""

from dataclasses import Field, dataclass, field, fields
from typing import Any, Final

_KEY: Final = "option"


@dataclass(frozen=True)
class Option:
    """How a field of a settings' dataclass is given on the command line, or as a variable."""

    name: str
    """The field's."""
    default: Any
    help: str
    flag: str
    """`--time-budget`"""
    limits: dict[str, Any]
    """`min`, `max`, `metavar`: what typer takes."""
    recipe_key: str
    """The recipe's key that it changes, as `training.epochs`; empty for settings that change none."""

    @property
    def variable(self) -> str:
        """`ICHTUNE_TIME_BUDGET`"""
        return f"ICHTUNE_{self.flag.removeprefix('--').replace('-', '_').upper()}"


def option(default: Any, help: str, *, flag: str = "", recipe_key: str = "", **limits: Any) -> Any:
    """A dataclass's field that is an option; the flag is by default the field's name."""
    return field(default=default, metadata={_KEY: (help, flag, recipe_key, limits)})


def options_of(settings: Any) -> list[Option]:
    """The options of a settings' dataclass, in the order of its fields."""
    return [_option(found) for found in fields(settings) if _KEY in found.metadata]


def _option(found: Field[Any]) -> Option:
    help, flag, recipe_key, limits = found.metadata[_KEY]
    flag = f"--{flag or found.name.replace('_', '-')}"
    return Option(found.name, found.default, help, flag, limits, recipe_key)
