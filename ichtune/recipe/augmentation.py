"""How images are augmented: at one of three levels, or by a list of transforms."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_serializer

from ichtune.recipe.transforms import COMPOSITIONS, Arguments, check, check_kind
from ichtune.wording import not_one_of, shown, unknown_key

LevelName = Literal["normal", "moderate", "aggressive"]
LEVELS: Final[tuple[LevelName, ...]] = get_args(LevelName)
_KEYS: Final = ("name", "transforms")


class Augmentation(BaseModel):
    """A list of albumentations' transforms under a name: two with the same transforms are equal.

    In YAML it is `{name: flips, transforms: [{HorizontalFlip: {p: 0.5}}]}`; arguments that a transform isn't given are
    its own defaults, and `HorizontalFlip` alone has only those.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    written: str
    """The transforms as canonical JSON."""

    @classmethod
    def parse(cls, data: Mapping[str, object]) -> Self:
        """Return the augmentation of plain data, as in YAML.

        Raises:
            ValueError: a line about the first problem.
        """
        for key in data:
            if key not in _KEYS:
                raise ValueError(unknown_key(key, "", _KEYS))
        name, transforms = data.get("name"), data.get("transforms")
        if not isinstance(name, str) or not name:
            raise ValueError(f"a list of transforms needs a name, got {shown(name)}")
        if name in LEVELS:
            raise ValueError(f"{name} is the name of a level; give the list of transforms another")
        canonical = _canonical(transforms, "transforms")
        written = json.dumps(canonical, sort_keys=True)
        _check(written)
        return cls(name=name, written=written)

    @property
    def transforms(self) -> list[tuple[str, Arguments]]:
        """Each transform's kind and arguments."""
        return _pairs(json.loads(self.written))

    @cached_property
    def key(self) -> str:
        """Twelve hex digits of the transforms."""
        return hashlib.sha256(self.written.encode()).hexdigest()[:12]

    @model_serializer
    def _plain(self) -> dict[str, object]:
        return {"name": self.name, "transforms": json.loads(self.written)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Augmentation) and self.written == other.written

    def __hash__(self) -> int:
        return hash(self.written)

    def __str__(self) -> str:
        return self.name


def level_key(level: "LevelName | Augmentation") -> str:
    """Return what identifies a level in keys and seeds: its name, or the content of its list."""
    return level.key if isinstance(level, Augmentation) else level


def _parsed(value: object) -> object:
    if isinstance(value, Augmentation):
        return value
    if isinstance(value, Mapping):
        return Augmentation.parse(value)
    if value not in LEVELS:
        raise ValueError(not_one_of(value, LEVELS))
    return value


Level = Annotated[LevelName | Augmentation, BeforeValidator(_parsed)]
"""Augmentation level."""


def _canonical(transforms: object, place: str) -> list[dict[str, Any]]:
    """Return each transform as a mapping of its kind to its arguments."""
    if not isinstance(transforms, list | tuple) or not transforms:
        raise ValueError(
            f"{place}: must be a list of transforms, such as [{{Rotate: {{limit: 15}}}}, HorizontalFlip], "
            f"got {shown(transforms)}"
        )
    return [_transform(each, f"{place}.{number}") for number, each in enumerate(transforms, 1)]


def _transform(raw: object, place: str) -> dict[str, Any]:
    named = {raw: None} if isinstance(raw, str) else raw
    if not isinstance(named, Mapping) or len(named) != 1:
        raise ValueError(
            f"{place}: must be a transform with its arguments, such as {{Rotate: {{limit: 15}}}}, "
            f"got {shown(raw)}"
        )
    [(kind, arguments)] = named.items()
    check_kind(kind, place)
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, Mapping):
        raise ValueError(f"{place}.{kind}: must be a mapping of arguments to values, got {shown(arguments)}")
    return {kind: {str(key): _argument(kind, key, value, place) for key, value in arguments.items()}}


def _argument(kind: str, key: object, value: object, place: str) -> object:
    here = f"{place}.{kind}.{key}"
    if kind in COMPOSITIONS and key == "transforms":
        return _canonical(value, here)
    if isinstance(value, Mapping):
        raise ValueError(
            f"{here}: must be a value, got {shown(value)}; to try several, write a choice of lists of transforms"
        )
    if isinstance(value, list | tuple):
        return [_argument(kind, key, each, place) for each in value]
    if not isinstance(value, None | bool | int | float | str):
        raise ValueError(f"{here}: must be a number, true, false or text, got {shown(value)}")
    return value


@lru_cache
def _check(written: str) -> None:
    for place, kind, arguments in _walk(json.loads(written), "transforms"):
        check(kind, arguments, place)


def _walk(transforms: list[dict[str, Any]], place: str) -> Iterator[tuple[str, str, Arguments]]:
    """Yield the place, kind and arguments of every transform, those inside a composition before it."""
    for number, ((kind, arguments),) in enumerate((each.items() for each in transforms), 1):
        here = f"{place}.{number}.{kind}"
        if kind in COMPOSITIONS and "transforms" not in arguments:
            raise ValueError(f"{here}: needs transforms, a list of them")
        if kind in COMPOSITIONS:
            yield from _walk(arguments["transforms"], f"{here}.transforms")
        yield here, kind, _built(kind, arguments)


def _pairs(transforms: list[dict[str, Any]]) -> list[tuple[str, Arguments]]:
    return [(kind, _built(kind, arguments)) for each in transforms for kind, arguments in each.items()]


def _built(kind: str, arguments: dict[str, Any]) -> Arguments:
    if kind not in COMPOSITIONS:
        return arguments
    return {**arguments, "transforms": _pairs(arguments["transforms"])}
