"""A named recipe to try first, given as changes to the space's defaults."""

from collections.abc import Mapping

from ichtune.space.distributions import Choice, Node, Range, SpaceError
from ichtune.space.places import Place
from ichtune.space.walks import Params, default_params, named
from ichtune.wording import plain, shown, unknown_key

BASELINE = "baseline"
"""The name of the point that changes are measured from."""


def point_params(tree: Mapping[str, Node], changes: object) -> Params:
    """The parameters of the space's defaults with `changes`, nested as a recipe is.

    A mapping selects the first branch that it fits.

    Raises:
        SpaceError: a key, a value or a branch that the space doesn't have.
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
    """The parameters that give `node` the value `change`."""
    if isinstance(node, dict):
        return _settle_mapping(node, name, place, change)
    if isinstance(node, Choice):
        return _settle_choice(node, name, place, change)
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


def _settle_choice(node: Choice, name: str, place: Place, change: object) -> Params:
    """The first option that `change` fits."""
    if isinstance(node.options[0], dict) and not isinstance(change, Mapping):
        raise SpaceError(
            f"{place}: a branch is chosen by what it holds, as {{name: ...}}, got {shown(change)}"
        )
    closest = None
    for label, option in zip(node.labels, node.options, strict=True):
        below = named(name, label)
        try:
            return {name: label, **_settle(option, below, place, change)}
        except SpaceError as error:
            if _is_named(option, change):
                closest = closest or error
    known = ", ".join(map(plain, node.labels))
    raise closest or SpaceError(f"{place}: no choice of this space fits {shown(change)}; it has {known}")


def _is_named(option: Node, change: object) -> bool:
    """Whether `change` means this option by its name, so that the mistake is in the other keys."""
    return (
        isinstance(option, dict) and isinstance(change, Mapping) and option.get("name") == change.get("name")
    )
