"""What docs/spaces.md says is true: its examples load, and its table is that of the recipe types."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ichtune.recipe import Phase, Recipe
from ichtune.recipe.refusals import variants
from ichtune.recipe.transforms import GEOMETRY, GREY_VALUES, HOLES
from ichtune.space import Space, presets
from ichtune.wording import plain
from ichtune.yaml_text import parse_yaml

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "spaces.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
ROW = re.compile(r"^\| `([a-z_.0-9]+)` \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
WORDS = {
    annotated_types.Gt: ("above", "gt"),
    annotated_types.Ge: ("at least", "ge"),
    annotated_types.Lt: ("below", "lt"),
    annotated_types.Le: ("at most", "le"),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_space(example: str):
    space = Space.parse(parse_yaml(example, "example"), "example")
    assert [space.recipe(params) for params in space.points.values()]


def test_every_setting_is_in_the_table_with_its_values_and_default():
    written = {key: (values, default) for key, values, default, _ in ROW.findall(TEXT)}
    assert written == {key: (values, default) for key, values, default in settings()}


def test_every_setting_says_where_it_comes_from():
    assert not [key for key, _, _, source in ROW.findall(TEXT) if not source.strip()]


def test_every_transform_is_named():
    for name in (*GEOMETRY, *GREY_VALUES, *HOLES):
        assert f"`{name}`" in TEXT, name


def test_every_study_and_preset_is_named():
    studies = (DOCS / "studies.md").read_text()
    own = {"default", "quick", "full", "finetune", "scans"}
    assert not [name for name in presets() if name not in own and f"`{name}`" not in studies]
    assert not [name for name in presets() if f"`{name}`" not in TEXT]


def settings() -> Iterator[tuple[str, str, str]]:
    """Every hyperparameter: its name, its values and its default."""
    for section, field in Recipe.model_fields.items():
        if kinds := variants(Recipe, section):
            for name, kind in kinds.items():
                yield from _keys(f"{section}.{name}", kind)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(section, field.annotation)
        elif section != "phases":
            yield section, values_of(field), _default(field)
    for key in ("train", "epochs"):
        field = Phase.model_fields[key]
        yield (
            f"phases.1.{key}",
            values_of(field),
            f"that of `{ {'train': 'model'}.get(key, 'training') }.{key}`",
        )


def _keys(place: str, kind: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    for key, field in kind.model_fields.items():
        if key != "name":
            yield f"{place}.{key}", values_of(field), _default(field)


def _default(field: FieldInfo) -> str:
    default = field.default
    return f"[{plain(default)}]" if isinstance(default, tuple) else plain(default)


def values_of(field: FieldInfo) -> str:
    """`above 0`, `true, false`, `whole, at least 1, or null`."""
    return _values(field.annotation, field.metadata)


def _values(kind: Any, metadata: Any = ()) -> str:
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        return _values(inner, (*more, *metadata))
    if get_origin(kind) in (Union, UnionType):
        return ", or ".join(_values(each, metadata) for each in get_args(kind))
    if get_origin(kind) is Literal:
        return ", ".join(map(plain, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"list of {_length(metadata)}{_values(get_args(kind)[0])}"
    names = {bool: "true, false", int: "whole", float: "", str: "text", type(None): "null"}
    limits = [limit for each in metadata for limit in _limits(each)] if kind in (int, float) else []
    words = [names[kind]] if kind in names else ["list of transforms"]
    return ", ".join(filter(None, (*words, *limits))) or "number"


def _limits(constraint: Any) -> Iterator[str]:
    for each in (constraint, *getattr(constraint, "metadata", ())):
        for kind, (word, key) in WORDS.items():
            if isinstance(each, kind):
                yield f"{word} {plain(getattr(each, key))}"


def _length(metadata: Any) -> str:
    bounds = [each for found in metadata for each in (found, *getattr(found, "metadata", ()))]
    least = [each.min_length for each in bounds if isinstance(each, annotated_types.MinLen)]
    most = [each.max_length for each in bounds if isinstance(each, annotated_types.MaxLen)]
    if not least or not most:
        return ""
    return f"{least[0]}: " if least == most else f"{least[0]} to {most[0]}: "
