"""Points: named recipes to try first, given as changes to the space's defaults."""

from collections.abc import Mapping

from ichtune.recipe import Augmentation
from ichtune.space.distributions import Choice, Node, Numbered, Range, SpaceError
from ichtune.space.places import Place
from ichtune.space.walks import Params, default_params, named
from ichtune.wording import plain, shown, unknown_key

BASELINE = "baseline"
"""The name of the point that changes are compared with."""


def point_params(tree: Mapping[str, Node], changes: object) -> Params:
    """Return the parameters of the space's defaults with `changes`, which are nested like a recipe.

    A mapping selects the first branch that fits it.

    Raises:
        SpaceError: the space doesn't have a key, a value or a branch.
    """
    if not isinstance(changes, Mapping):
        raise SpaceError(f"must be a mapping of changes, got {shown(changes)}")
    for key in changes:
        if key not in tree:
            raise SpaceError(unknown_key(key, "", tree))
    params: Params = {}
    for section, node in tree.items():
        if section in changes:
            params |= _settle(node, section, Place(section), changes[section])
        else:
            params |= default_params(node, section)
    return params


def _settle(node: Node, name: str, place: Place, change: object) -> Params:
    """Return the parameters that give `node` the value `change`."""
    if isinstance(node, Numbered):
        return _settle_items(node, name, place, change)
    if isinstance(node, dict):
        return _settle_mapping(node, name, place, change)
    if isinstance(node, Choice):
        return _settle_choice(node, name, place, change)
    if change == node and type(change) is type(node):  # nothing to convert: true isn't 1
        return {}
    if isinstance(node, Augmentation) and change == node.name:
        return {}
    value = place.accept(change)
    if isinstance(node, Range):
        if not node.holds(value):
            raise SpaceError(f"{place}: {plain(value)} is outside {node}")
        return {name: node.nearest(value)}
    if value != node:
        raise SpaceError(f"{place}: is fixed at {plain(node)} in this space, got {plain(value)}")
    return {}


def _settle_mapping(node: dict[str, Node], name: str, place: Place, change: object) -> Params:
    if not isinstance(change, Mapping):
        raise SpaceError(f"{place}: must be a mapping of changes, got {shown(change)}")
    for key in change:
        if key not in node:
            raise SpaceError(unknown_key(key, place.section, node))
    params: Params = {}
    place = place.of(node)
    for key, child in node.items():
        below = named(name, key)
        params |= (
            _settle(child, below, place.at(key), change[key])
            if key in change
            else default_params(child, below)
        )
    return params


def _settle_items(node: Numbered, name: str, place: Place, change: object) -> Params:
    if not isinstance(change, list | tuple) or len(change) != len(node):
        raise SpaceError(f"{place}: must be a list of {len(node)} changes, got {shown(change)}")
    params: Params = {}
    for (number, item), its in zip(node.items(), change, strict=True):
        assert isinstance(item, dict)
        assert place.item
        if not isinstance(its, Mapping) or its.keys() - item.keys():
            raise SpaceError(
                f"{place}.{number}: must be a mapping of changes to {', '.join(item)}, got {shown(its)}"
            )
        for key, child in item.items():
            below = named(named(name, number), key)
            at = Place(key, owner=place.item)
            params |= _settle(child, below, at, its[key]) if key in its else default_params(child, below)
    return params


def _settle_choice(node: Choice, name: str, place: Place, change: object) -> Params:
    """Return the parameters of the first option that fits `change`."""
    branches = isinstance(node.options[0], dict) and not isinstance(node.options[0], Numbered)
    if branches and not isinstance(change, Mapping):
        raise SpaceError(
            f"{place}: a branch is selected by its content, such as {{name: ...}}, got {shown(change)}"
        )
    closest = None
    for label, option in zip(node.labels, node.options, strict=True):
        if _is_other(option, change):
            continue
        try:
            return {name: label, **_settle(option, named(name, label), place, change)}
        except SpaceError as error:
            if _is_named(option, change):
                closest = closest or error
    known = ", ".join(map(plain, node.labels))
    raise closest or SpaceError(
        f"{place}: no option in this space fits {shown(change)}; the options are {known}"
    )


def _is_other(option: Node, change: object) -> bool:
    """Whether `change` names another variant than this option, which has a single one."""
    if not isinstance(option, dict) or not isinstance(change, Mapping) or "name" not in change:
        return False
    return isinstance(option.get("name"), str) and option["name"] != change["name"]


def _is_named(option: Node, change: object) -> bool:
    """Whether `change` names this option, so that the mistake must be in its other keys."""
    return (
        isinstance(option, dict) and isinstance(change, Mapping) and option.get("name") == change.get("name")
    )
