"""Parsing plain data into a space's tree, shaped like a recipe but with distributions in place of values."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ichtune.recipe import Recipe
from ichtune.space.distributions import (
    DISTRIBUTIONS,
    Choice,
    Node,
    Numbered,
    Range,
    SpaceError,
    problems_at,
)
from ichtune.space.places import SECTIONS, Place
from ichtune.wording import not_one_of, plain, shown, unknown_key

Parse = Callable[[Place, object], Node]


def parse_tree(data: Mapping[str, object]) -> dict[str, Node]:
    """Return the tree of a whole recipe, with omitted keys filled in from the recipe types.

    Raises:
        SpaceError: a line for every problem.
    """
    given = {**Recipe().model_dump(), **{key: data[key] for key in SECTIONS if key in data}}
    return collect({section: lambda at=section: parse_section(Place(at), given[at]) for section in SECTIONS})


def collect(parsers: Mapping[Any, Callable[[], Any]]) -> dict[Any, Any]:
    """Return the result of each parser under its key.

    Raises:
        SpaceError: the problems of all the parsers together.
    """
    parsed, problems = {}, []
    for key, parse in parsers.items():
        try:
            parsed[key] = parse()
        except SpaceError as error:
            problems += error.problems
    if problems:
        raise SpaceError("\n".join(problems))
    return parsed


def parse_section(place: Place, raw: object) -> Node:
    """Return a whole section: a plain value, a mapping, a list of mappings, or a choice of them.

    Raises:
        SpaceError: a line for every problem.
    """
    if place.item:
        return _items(place, raw)
    if not place.variants and not place.types:
        return parse_value(place, raw)
    if not isinstance(raw, Mapping):
        if isinstance(raw, str) and place.variants and raw not in place.variants:
            raise SpaceError(f"{place}.name: {not_one_of(raw, place.variants)}")
        such = f", such as {{name: {raw}}}" if raw in place.variants else ""
        raise SpaceError(f"{place}: must be a mapping of keys to values{such}, got {shown(raw)}")
    kind = _distribution(place, raw)
    if kind == "choice":
        return _choice(place, raw, parse_section)
    if kind:
        raise SpaceError(f"{place}: {kind} is for numbers; must be a mapping or a choice of mappings")
    return _mapping(place, raw)


def _items(place: Place, raw: object) -> Node:
    """Return a list of mappings, of which each holds only the sections that it is given."""
    if isinstance(raw, Mapping) and _distribution(place, raw) == "choice":
        return _choice(place, raw, _items)
    if not raw or not isinstance(raw, list | tuple):
        return place.accept(raw)
    return Numbered(
        collect({str(n): partial(parse_item, place, str(n), item) for n, item in enumerate(raw, 1)})
    )


def parse_item(place: Place, number: str, raw: object) -> Node:
    """Return one item of a section that is a list.

    Raises:
        SpaceError: a line for every problem.
    """
    assert place.item
    here = f"{place}.{number}"
    if not isinstance(raw, Mapping):
        raise SpaceError(f"{here}: must be a mapping of keys to values, got {shown(raw)}")
    sections = place.item.model_fields
    unknown = [unknown_key(key, here, sections) for key in raw if key not in sections]
    if unknown:
        raise SpaceError("\n".join(unknown))
    with problems_at(here):
        places = {key: Place(key, owner=place.item) for key in sections if key in raw}
        return collect({key: partial(parse_section, at, raw[key]) for key, at in places.items()})


def _mapping(place: Place, raw: Mapping[str, object]) -> Node:
    """Return one variant of a section, or several that share their keys if `name` is a choice."""
    node: dict[str, Node] = {}
    if place.variants:
        node["name"] = _variant(place, raw)
        place = place.of(node)
    if len(place.types) == 1:
        raw = {key: field.default for key, field in place.types[0].model_fields.items()} | dict(raw)
    node |= collect({key: lambda key=key: _entry(place, key, raw[key]) for key in raw if key != "name"})
    place.check(node)
    return node


def _variant(place: Place, raw: Mapping[str, object]) -> Any:
    """Return the section's name, or a choice of names."""
    if "name" not in raw:
        raise SpaceError(f"{place}: needs a name, one of {', '.join(place.variants)}")
    name = raw["name"]
    if isinstance(name, Mapping) and _distribution(place.at("name"), name) == "choice":
        return _choice(place.at("name"), name, _variant_name)
    return _variant_name(place.at("name"), name)


def _variant_name(place: Place, raw: object) -> str:
    if not isinstance(raw, str) or raw not in place.variants:
        raise SpaceError(f"{place}: {not_one_of(raw, place.variants)}")
    return raw


def _entry(place: Place, key: str, raw: object) -> Node:
    takes = [key in each.model_fields for each in place.types]
    if not any(takes):
        raise SpaceError(unknown_key(key, place.section, place.types[0].model_fields))
    if not all(takes):
        without = place.names[takes.index(False)]
        raise SpaceError(
            f"{place.at(key)}: {without} doesn't have {key}; write a choice of branches, each with its own keys"
        )
    return parse_value(place.at(key), raw)


def parse_value(place: Place, raw: object) -> Node:
    """Return the value or distribution at one key.

    Raises:
        SpaceError: a line for every problem.
    """
    if not isinstance(raw, Mapping):
        return place.accept(raw)
    kind = _distribution(place, raw)
    if kind == "choice":
        return _choice(place, raw, parse_value)
    if kind:
        return _range(place, kind, raw)
    if place.is_named_list:
        return place.accept(raw)
    if not raw:
        raise SpaceError(f"{place}: must be a value or a distribution, got {{}}")
    raise SpaceError(f"{place}: {not_one_of(next(iter(raw)), DISTRIBUTIONS)}")


def _distribution(place: Place, raw: Mapping[str, object]) -> str | None:
    """Return the kind of distribution that `raw` is; None if it isn't one."""
    kinds = [key for key in raw if key in DISTRIBUTIONS]
    if not kinds:
        return None
    if len(kinds) > 1:
        raise SpaceError(f"{place}: has {' and '.join(kinds)}; must be a single distribution")
    for key in raw:
        if key not in (kinds[0], "default"):
            raise SpaceError(unknown_key(key, f"{place} beside {kinds[0]}", ["default"]))
    return kinds[0]


def _range(place: Place, kind: str, raw: Mapping[str, object]) -> Range:
    try:
        found = Range.parse(kind, raw[kind])
        if "default" in raw:
            found = found.beginning_at(raw["default"])
        elif found.holds(place.own_default):
            found = found.beginning_at(place.own_default)
    except SpaceError as error:
        raise SpaceError(f"{place}: {error}") from None
    place.accept(found.low)
    place.accept(found.high)
    try:
        place.accept(found.within)
    except SpaceError:  # both ends pass, so the fraction is what is refused
        raise SpaceError(
            f"{place}: must be a whole number, but {kind} {found} includes fractions; use int or logint"
        ) from None
    return found


def _choice(place: Place, raw: Mapping[str, object], parse: Parse) -> Choice:
    options = raw["choice"]
    if not isinstance(options, list | tuple):
        raise SpaceError(f"{place}: choice takes a list, got {shown(options)}")
    nodes = collect({n: lambda n=n: _option(place, n, options[n], parse) for n in range(len(options))})
    try:
        choice = Choice.of(list(nodes.values()))
    except SpaceError as error:
        raise SpaceError(f"{place}: {error}") from None
    return _beginning(choice, place, raw["default"]) if "default" in raw else choice


def _option(place: Place, number: int, raw: object, parse: Parse) -> Node:
    try:
        return parse(place, raw)
    except SpaceError as error:
        name = f": {plain(raw['name'])}" if isinstance(raw, Mapping) and "name" in raw else ""
        spot = f" [choice {number + 1} of {place}{name}]"
        raise SpaceError("\n".join(f"{problem}{spot}" for problem in error.problems)) from None


def _beginning(choice: Choice, place: Place, default: object) -> Choice:
    """Return the choice with the default option given by label or by value."""
    branches = any(isinstance(option, dict) for option in choice.options)
    if default not in choice.labels and not branches:
        value = place.accept(default)
        default = choice.labels[choice.options.index(value)] if value in choice.options else default
    try:
        return choice.beginning_at(default)
    except SpaceError as error:
        raise SpaceError(f"{place}: default {error}") from None
