"""A reproduction as planned: the exact commands, for these stores."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.studies.study import Step, Study
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.space import Space


@dataclass(frozen=True)
class Command:
    """A step with all its arguments."""

    step: Step
    arguments: tuple[str, ...]
    options: Mapping[str, Any]
    """By flag without dashes; `set` is a mapping."""
    space: Space | None = None
    """The space of a search, with all changes."""

    @property
    def text(self) -> str:
        """As typed on a terminal."""
        return shlex.join(("ichtune", *self.arguments))


@dataclass(frozen=True)
class Reproduction:
    """A study on a user's stores, fully checked before anything is computed."""

    name: str
    study: Study
    store: SliceStore
    second: SliceStore | None
    out: Path
    quick: bool
    changes: Mapping[str, Any]
    """Changes by key to the spaces of all searches."""

    @classmethod
    def plan(
        cls,
        name: str,
        data: Path,
        second: Path | None = None,
        out: Path | None = None,
        *,
        quick: bool = False,
        changes: Mapping[str, Any] | None = None,
    ) -> "Reproduction":
        """Check a request for a reproduction.

        Raises:
            InputError: there is no such study or store, a second one is missing or superfluous, or a change fits no
                search.
        """
        study = Study.load(name)
        if study.needs_second and second is None:
            raise InputError(f"{name}: compares two data sets; give the other store with --second")
        if second is not None and not study.needs_second:
            raise InputError(f"--second: {name} uses a single store; leave it out")
        store = SliceStore.open(data)
        if not len(store.test):
            raise InputError(
                f"{data}: has no test set, which {name} reports on; `ichtune prepare --test-fraction 0.2` sets one "
                "aside"
            )
        planned = cls(
            name,
            study,
            store,
            None if second is None else SliceStore.open(second),
            (out or Path("reproduced") / (f"{name}-quick" if quick else name)).absolute(),
            quick,
            changes or {},
        )
        if planned.second and planned.second.fingerprint == store.fingerprint:
            raise InputError(f"--second: {second} has the same slices as {data}; give another data set")
        _ = planned.commands
        return planned

    @cached_property
    def commands(self) -> list[Command]:
        """Every command, in order."""
        return [self._command(step) for step in self.study.steps]

    @property
    def differences(self) -> list[str]:
        """What is other than in the study because of these stores and options, in words."""
        said = [f"quick: {self.study.quick}"] if self.quick else []
        said += [f"--set {key}={_value(value)}" for key, value in self.changes.items()]
        sizes = dict.fromkeys(size for command in self.commands for size in self._shrunk(command.step))
        said += [f"images of {self.store.info.size} pixels, the store's, instead of {size}" for size in sizes]
        return said

    @property
    def identity(self) -> dict[str, Any]:
        """What the results depend on, by the names of options."""
        return {
            "study": self.name,
            "data": self.store.fingerprint,
            "second": self.second.fingerprint if self.second else None,
            "options": [command.text for command in self.commands],
        }

    @property
    def runs(self) -> Path:
        return self.out / "runs"

    def path(self, text: str) -> Path:
        """A path below the folder of the reproduction."""
        return self.out / self.filled(text)

    def _command(self, step: Step) -> Command:
        options = step.options | (step.quick if self.quick else {})
        changes, space = self._own_changes(step), None
        if step.command == "search":
            changes |= {"model.size": self.store.info.size} if self._shrunk(step) else {}
            changes |= self.changes
            options = {"data": "{data}"} | options | {"runs": "{runs}", "name": step.name}
            space = Space.load(options["space"]).changed(changes)
        arguments = [step.command, *map(self.filled, step.given)]
        options = {
            flag: self.filled(value) if isinstance(value, str) else value for flag, value in options.items()
        }
        options |= {"set": changes}
        for flag, value in options.items():
            arguments += self._flag(flag, value)
        return Command(step, tuple(arguments), options, space)

    @staticmethod
    def _flag(flag: str, value: object) -> Iterator[str]:
        if flag == "set":
            assert isinstance(value, Mapping)
            for key, changed in value.items():
                yield from ("--set", f"{key}={_value(changed)}")
        elif value is True:
            yield f"--{flag}"
        elif isinstance(value, list | tuple):
            for one in value:
                yield from (f"--{flag}", str(one))
        else:
            yield from (f"--{flag}", str(value))

    def filled(self, text: str) -> str:
        """A text of the study with its places filled in."""
        places = {"data": self.store.path.absolute(), "out": self.out, "runs": self.runs}
        if self.second:
            places["second"] = self.second.path.absolute()
        for name, place in places.items():
            text = text.replace(f"{{{name}}}", str(place)).replace(f"{{{name}:name}}", place.name)
        return text.replace("{folds}", str(self.store.info.folds))

    def _own_changes(self, step: Step) -> dict[str, Any]:
        """The study's own changes to a step's space or recipe."""
        return dict(step.options.get("set", {})) | (step.quick.get("set", {}) if self.quick else {})

    def _shrunk(self, step: Step) -> list[int]:
        """The sizes of a search's images that the store doesn't have."""
        if step.command != "search" or "model.size" in self.changes:
            return []
        models = Space.load(step.options["space"]).changed(self._own_changes(step)).models()
        return sorted({each.model.size for each in models if each.model.size > self.store.info.size})


def _value(value: object) -> str:
    """A changed value as `--set` reads it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
