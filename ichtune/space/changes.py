"""Changing values of a space, as with `--set optimizer.lr=1e-3`."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ichtune.recipe import Recipe
from ichtune.space.distributions import (
    DISTRIBUTIONS,
    Choice,
    Node,
    Numbered,
    SpaceError,
    as_data,
    problems_at,
)
from ichtune.space.grammar import parse_item, parse_section, parse_value
from ichtune.space.phases import is_unused
from ichtune.space.places import SECTIONS, Place
from ichtune.wording import not_one_of, plain, shown, unknown_key

Tree = dict[str, Node]


def set_key(tree: Tree, key: str, raw: object) -> Tree:
    """Return the tree with `raw`, a value or a distribution, at `key`: a section, or `section.key`.

    In a choice of branches, every branch whose type has the key gets it; branches that become equal are merged.
    Setting a section's `name` keeps the branches of that name, or turns the section into that variant.

    Raises:
        SpaceError: the key is unknown or can't be used in this space, or the value is refused.
    """
    if is_unused(tree, key):
        raise SpaceError(f"{key}: has no effect, because every phase has its own; change the phases")
    return _set(tree, key, raw, Recipe)


def _set(tree: Tree, key: str, raw: object, owner: type[BaseModel]) -> Tree:
    section, _, below = key.partition(".")
    place, sections = Place(section, owner=owner), owner.model_fields
    if section not in sections:
        homes = [f"{home}.{key}" for home in sections if key in Place(home, owner=owner).all_keys]
        raise SpaceError(
            f"unknown key {key!r}; did you mean {homes[0]!r}?"
            if homes
            else unknown_key(key, "", (*sections, *(["metric"] if owner is Recipe else [])))
        )
    if not below:
        return {**tree, section: parse_section(place, raw)}
    if place.item:
        return {**tree, section: _with_item(tree[section], place, below, raw)}
    if below not in place.all_keys:
        raise SpaceError(unknown_key(below, section, place.all_keys))
    if below == "name" and raw not in place.variants:
        raise SpaceError(f"{key}: {not_one_of(raw, place.variants)}")
    if section not in tree:
        raise SpaceError(f"{key}: there is no {section} here; set {section} as a whole")
    change = _renamed if below == "name" else _with_key
    node = change(tree[section], place, below, raw)
    if node is None:
        raise SpaceError(
            f"{key}: no {section} of this space accepts {shown(raw)} there (it has {_inventory(tree[section])}); "
            f"set {section} as a whole"
        )
    return {**tree, section: node}


def _with_item(node: Node, place: Place, below: str, raw: object) -> Node:
    """Return the list, or each of a choice of lists, with `raw` at `below`: an item's number, and a key of it."""
    number, _, key = below.partition(".")
    options = list(node.options) if isinstance(node, Choice) else [node]
    lists = [option for option in options if isinstance(option, Numbered) and number in option]
    if not lists:
        most = max((len(option) for option in options if isinstance(option, Numbered)), default=0)
        raise SpaceError(f"{place}.{number}: there are {most} {place} here, numbered from 1")
    changed = [_with_number(each, place, number, key, raw) if each in lists else each for each in options]
    return _choice_of(
        changed, changed[node.labels.index(node.default)] if isinstance(node, Choice) else changed[0]
    )


def _with_number(node: Node, place: Place, number: str, key: str, raw: object) -> Numbered:
    assert isinstance(node, Numbered)
    assert place.item
    if not key:
        return Numbered({**node, number: parse_item(place, number, raw)})
    with problems_at(f"{place}.{number}"):
        return Numbered({**node, number: _set(_branch(node[number]), key, raw, place.item)})


def changes_in(data: Mapping[str, object]) -> dict[str, object]:
    """Return what a space's data says of its sections, by key: `model.size`; a section with variants is one change."""
    changes: dict[str, object] = {}
    for section, raw in data.items():
        is_one = section in SECTIONS and Place(section).types and not Place(section).variants
        if is_one and isinstance(raw, Mapping) and not raw.keys() & set(DISTRIBUTIONS):
            changes |= {f"{section}.{key}": value for key, value in raw.items()}
        elif section in SECTIONS:
            changes[section] = raw
    return changes


def drop_key(points: Mapping[str, Any], key: str, raw: object) -> dict[str, Any]:
    """Return the points without their values for `key`, which is now set to `raw`."""
    return {name: _without_key(point, key, raw) for name, point in points.items()}


def _without_key(point: Mapping[str, Any], key: str, raw: object) -> dict[str, Any]:
    section, _, below = key.partition(".")
    return _without(point, section, below, raw)


def _without(point: Mapping[str, Any], section: str, below: str, raw: object) -> dict[str, Any]:
    rest = {key: change for key, change in point.items() if key != section}
    change = point.get(section)
    if below and isinstance(change, list):
        number, _, key = below.partition(".")
        items = [
            item if str(n) != number else _without_key(item, key, raw) for n, item in enumerate(change, 1)
        ]
        return {**rest, section: items}
    other_variant = below == "name" and isinstance(change, Mapping) and change.get("name") != raw
    if not below or other_variant or not isinstance(change, Mapping):
        return rest
    kept = {key: value for key, value in change.items() if key != below}
    return {**rest, section: kept} if kept else rest


def _with_key(node: Node, place: Place, key: str, raw: object) -> Node | None:
    """Return the node with `key` set wherever its type has that key; None if no type has it."""
    if isinstance(node, Choice):
        changed = [_with_key(option, place, key, raw) for option in node.options]
        if all(option is None for option in changed):
            return None
        options = [old if new is None else new for old, new in zip(node.options, changed, strict=True)]
        return _choice_of(options, options[node.labels.index(node.default)])
    branch = _branch(node)
    here = place.of(branch)
    if not all(key in each.model_fields for each in here.types):
        return None
    branch[key] = parse_value(here.at(key), raw)
    here.check(branch)
    return branch


def _renamed(node: Node, place: Place, key: str, raw: object) -> Node | None:
    """Return the branches of that name, or a single section turned into that variant; None if there are none."""
    if isinstance(node, Choice):
        branches = _named(node, raw)
        default = node.option(node.default)
        return _choice_of(branches, default if default in branches else branches[0]) if branches else None
    branch, variant = _branch(node), place.variants.get(str(raw))
    kept = {
        other: as_data(value)
        for other, value in branch.items()
        # Values left at the old variant's default become the new variant's default.
        if value not in [each.model_fields[other].default for each in place.of(branch).types]
        and (variant is None or other in variant.model_fields)
    }
    return parse_section(place, {**kept, key: raw})


def _branch(node: Node) -> dict[str, Node]:
    assert isinstance(node, dict), "a section with keys is a mapping or a choice of mappings"
    return dict(node)


def _named(node: Node, name: object) -> list[Node]:
    if isinstance(node, Choice):
        return [found for option in node.options for found in _named(option, name)]
    return [node] if isinstance(node, dict) and node["name"] == name else []


def _inventory(node: Node) -> str:
    names = node.labels if isinstance(node, Choice) else [node["name"] if isinstance(node, dict) else node]
    return ", ".join(map(plain, names))


def _choice_of(options: list[Node], beginning: Node) -> Node:
    """Return a choice among the distinct `options`; just the option if there is only one."""
    unique = [option for position, option in enumerate(options) if option not in options[:position]]
    if len(unique) == 1:
        return unique[0]
    choice = Choice.of(unique)
    return choice.beginning_at(choice.labels[unique.index(beginning)])
