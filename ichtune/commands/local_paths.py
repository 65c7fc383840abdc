"""Paths that must be on this machine: a URI for one of them is refused before the command does anything."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from typer.models import ArgumentInfo

from ichtune.remote import refuse_uri

Command = Callable[..., None]


def on_this_machine(command: Command) -> Command:
    """Return a command that refuses a URI for every parameter that is a `Path`; those that take URIs are text."""
    named = {
        name: _name(parameter)
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
    }

    @wraps(command)
    def run(**given: Any) -> None:
        for name, value in given.items():
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, Path):
                    refuse_uri(named[name], each)
        command(**given)

    return run


def _name(parameter: inspect.Parameter) -> str:
    """What a user calls a parameter: FOLDER or --out."""
    declared = getattr(parameter.annotation, "__metadata__", ())
    if any(isinstance(each, ArgumentInfo) for each in declared):
        return parameter.name.upper()
    return f"--{parameter.name.replace('_', '-')}"
