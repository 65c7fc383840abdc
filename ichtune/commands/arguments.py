"""Commands whose options are the fields of a settings dataclass."""

import inspect
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ichtune.options import Option, options_of

Command = Callable[..., None]


def takes(settings: type, *, variables: bool = False) -> Callable[[Command], Command]:
    """Replace a command's parameter `settings` by one option per field of the dataclass; it receives the instance.

    With `variables`, each option also has an environment variable: --max-epochs or ICHTUNE_MAX_EPOCHS.
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
    # Typer has no union types: a path that may also be a URI, or a number that may be a word, is passed as text.
    kind = {str | Path: str, str | Path | None: str | None, int | str: str}.get(kind, kind)
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
    """The names of the parameters that the user set, by flag or environment variable."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}
