"""Variants of a recipe's sections, and error messages for refused values."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ichtune.wording import did_you_mean, not_one_of, shown, unknown_key

# Kinds of pydantic errors whose own messages are less plain.
RULES = {
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "finite_number": "must be finite",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must hold at least {min_length} values",
    "too_long": "must hold at most {max_length} values",
}


@cache
def variants(recipe: type[BaseModel], section: str) -> dict[str, type[BaseModel]]:
    """Return the types that a section selects by `name`; empty if it has no variants."""
    field = recipe.model_fields[section]
    if field.discriminator is None:
        return {}
    return {member.model_fields["name"].default: member for member in get_args(field.annotation)}


@cache
def item_type(recipe: type[BaseModel], section: str) -> type[BaseModel] | None:
    """Return the type of each item if the section is a list of sections."""
    kinds = get_args(recipe.model_fields[section].annotation)
    lists = [get_args(kind) for kind in kinds if get_origin(kind) is tuple]
    found = [item for item, *_ in lists if isinstance(item, type) and issubclass(item, BaseModel)]
    return found[0] if found else None


def refusals(error: ValidationError, recipe: type[BaseModel]) -> list[str]:
    """Return a line for every problem: place, rule, value and, for a misspelled name, a suggestion."""
    grouped: dict[str, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        grouped.setdefault(_place(detail["loc"], recipe), []).append(detail)
    # If a value may have two types, a problem deep inside one says more than "not the other".
    outer = [place for place in grouped if any(other.startswith(f"{place}[") for other in grouped)]
    return [_line(place, group, recipe) for place, group in grouped.items() if place not in outer]


Loc = tuple[int | str, ...]


def _stepped_in(loc: Loc, recipe: type[BaseModel]) -> tuple[str, Loc, type[BaseModel]]:
    """Return `phases.1.`, ('optimizer', ...) and the item's type for ('phases', 0, 'optimizer', ...)."""
    item = item_type(recipe, str(loc[0])) if len(loc) > 1 else None
    if item is None or not isinstance(loc[1], int):
        return "", loc, recipe
    return f"{loc[0]}.{loc[1] + 1}.", loc[2:], item


def _place(loc: Loc, recipe: type[BaseModel]) -> str:
    """Return `loss.pos_weight[1]` for ('loss', 'bce', 'pos_weight', 'tuple[constrained-float, ...]', 1)."""
    if not loc:
        return "recipe"
    inside, loc, owner = _stepped_in(loc, recipe)
    if not loc:
        return inside.removesuffix(".")
    section, *rest = loc
    if rest and rest[0] in variants(owner, str(section)):
        rest = rest[1:]
    keys = rest[:1] if _has_keys(owner, str(section)) else []
    indices = [f"[{part}]" for part in rest[len(keys) :] if isinstance(part, int)]
    return inside + ".".join([str(section), *map(str, keys)]) + "".join(indices)


def _has_keys(owner: type[BaseModel], section: str) -> bool:
    """Return whether a field holds a section; if not, pydantic names the types that it may have where keys would be."""
    if section not in owner.model_fields:
        return True
    annotation = owner.model_fields[section].annotation
    kinds = get_args(annotation) or (annotation,)
    return any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds)


def _line(place: str, group: list[ErrorDetails], recipe: type[BaseModel]) -> str:
    detail = group[0]
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in ("extra_forbidden", "invalid_key"):
        holder, _, key = place.rpartition(".")
        return unknown_key(key, holder, _keys(detail["loc"][:-1], recipe))
    if kind == "union_tag_invalid":
        return f"{place}.name: {not_one_of(value['name'], _names(detail['loc'], recipe))}"
    if kind == "union_tag_not_found":
        return f"{place}: needs a name, one of {', '.join(_names(detail['loc'], recipe))}"
    if kind == "value_error":
        return f"{place}: {context['error']}"
    if kind == "literal_error" and len(group) == 1:
        return f"{place}: {not_one_of(value, _literals(detail))}"
    rules = rule_of(detail) + "".join(f" or {rule_of(other).removeprefix('must ')}" for other in group[1:])
    hints = [did_you_mean(value, _literals(each)) for each in group if each["type"] == "literal_error"]
    return f"{place}: {rules}, got {shown(value)}{''.join(hints)}"


def _names(loc: Loc, recipe: type[BaseModel]) -> Iterable[str]:
    """Return the names allowed at a section with variants."""
    _, (section, *_), owner = _stepped_in(loc, recipe)
    return variants(owner, str(section))


def _keys(holder: Loc, recipe: type[BaseModel]) -> Iterable[str]:
    """Return the keys allowed at pydantic's `holder`: (), ('model',), ('optimizer', 'adam') or ('phases', 0)."""
    _, holder, recipe = _stepped_in(holder, recipe) if holder else ("", holder, recipe)
    if not holder:
        return recipe.model_fields
    section, *tag = map(str, holder)
    owner: Any = variants(recipe, section)[tag[0]] if tag else recipe.model_fields[section].annotation
    return owner.model_fields


def rule_of(detail: ErrorDetails) -> str:
    """Return the rule that a value broke: `must be at most 1`."""
    kind = detail["type"]
    if kind in RULES:
        return RULES[kind].format(**detail.get("ctx", {}))
    return detail["msg"].replace("Input should be", "must be")


def _literals(detail: ErrorDetails) -> list[str]:
    return re.findall(r"'([^']*)'", detail["ctx"]["expected"])
