"""Commands whose options are the fields of a settings' dataclass."""

import inspect
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ichtune.options import Option, options_of

Command = Callable[..., None]


def takes(settings: type, *, variables: bool = False) -> Callable[[Command], Command]:
    """Let a command have the dataclass's options in the place of its parameter `settings`, which gets their value.

    With `variables` each option can also be given as one: --max-epochs or ICHTUNE_MAX_EPOCHS.
    """
    hints, options = get_type_hints(settings), options_of(settings)

    def decorate(command: Command) -> Command:
        def run(**given: Any) -> None:
            values = {option.name: given.pop(option.name) for option in options}
            command(**given, settings=settings(**values))

        parameters = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            if parameter.name == "settings":
                parameters += [_parameter(option, hints[option.name], variables) for option in options]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        update_wrapper(run, command)
        del run.__wrapped__  # ty: ignore[missing-attribute]
        run.__signature__ = inspect.Signature(parameters)  # ty: ignore[missing-attribute]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _parameter(option: Option, kind: Any, variables: bool) -> inspect.Parameter:
    # Typer knows no unions: a place that may also be a URI comes as a text.
    kind = {str | Path: str, str | Path | None: str | None}.get(kind, kind)
    declared = typer.Option(
        option.flag,
        help=option.help,
        envvar=option.variable if variables else None,
        show_envvar=False,
        **option.limits,
    )
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=option.default,
        annotation=Annotated[kind, declared],
    )


def given(context: typer.Context) -> set[str]:
    """The options that a person gave, by flag or by variable, by the names of their parameters."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}
