"""The phases of a space's recipe: how much they train and for how long, and settings that none of them uses."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from ichtune.recipe import Recipe, Trained, breadth
from ichtune.space import walks
from ichtune.space.distributions import Choice, Node, Numbered, SpaceError

OVERRIDDEN: Final = {
    "train": "model.train",
    "optimizer": "optimizer",
    "schedule": "schedule",
    "epochs": "training.epochs",
}
"""The keys of a phase, each with the recipe's own setting in place of which it is used."""
Lists = list[list[dict[str, Any]] | None]


def widest(tree: Mapping[str, Node], own: Trained) -> list[Trained]:
    """Return how much of the backbone a training may train at most, if `model.train` is `own`."""
    found = {
        max((phase.get("train", own) for phase in phases), key=breadth) if phases else own
        for phases in _reachable(tree, "train")
    }
    return sorted(found, key=breadth)


def epochs(tree: Mapping[str, Node]) -> set[int]:
    """Return how many epochs a training may have."""
    own = [each["epochs"] for each in walks.reachable(walks.only(tree["training"], ("epochs",)))]
    return {
        sum(phase.get("epochs", each) for phase in phases) if phases else each
        for phases in _reachable(tree, "epochs")
        for each in own
    }


def space_data(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain data for a space, without what only its phases say: those may then be changed."""
    data = recipe.model_dump(mode="json")
    for setting in OVERRIDDEN.values() if recipe.phases else ():
        section, _, key = setting.partition(".")
        if key:
            del data[section][key]
        else:
            del data[section]
    return data


def refuse_unused(tree: Mapping[str, Node]) -> None:
    """Refuse settings of a recipe that nothing uses, because all its phases have their own.

    Raises:
        SpaceError: a setting varies, or is neither the default nor what the phases amount to.
    """
    for key, setting in OVERRIDDEN.items():
        if is_unused(tree, setting) and not _is_plain(tree, key):
            raise SpaceError(
                f"{setting}: has no effect, because every phase has its own {key}; leave it out, or change the phases"
            )


def is_unused(tree: Mapping[str, Node], setting: str) -> bool:
    """Whether this setting of a recipe, such as `optimizer.lr`, has no effect because all phases have their own."""
    keys = [key for key, own in OVERRIDDEN.items() if setting == own or setting.startswith(f"{own}.")]
    return any(all(_have(option, key) for option in _options(tree["phases"])) for key in keys)


def used(tree: Mapping[str, Node]) -> dict[str, Node]:
    """Return the tree without the settings that have no effect: its own that no phase uses, and phases if none."""
    unused = {setting for setting in OVERRIDDEN.values() if is_unused(tree, setting)}
    if tree["phases"] is None:
        unused.add("phases")
    kept = {section: node for section, node in tree.items() if section not in unused}
    for setting in unused:
        section, _, key = setting.partition(".")
        if key and isinstance(node := kept[section], dict):
            kept[section] = {name: child for name, child in node.items() if name != key}
    return kept


def _have(option: Node, key: str) -> bool:
    return isinstance(option, Numbered) and all(
        isinstance(phase, dict) and key in phase for phase in option.values()
    )


def _is_plain(tree: Mapping[str, Node], key: str) -> bool:
    """Whether a setting is the default, or what the phases amount to, as in the record of a training."""
    default = Recipe()
    if key == "train":
        own = walks.reachable(walks.only(tree["model"], ("train",)))
        return {each["train"] for each in own} <= {default.model.train, *widest(tree, "frozen")}
    if key == "epochs":
        own = walks.reachable(walks.only(tree["training"], ("epochs",)))
        return {each["epochs"] for each in own} <= {default.training.epochs, *epochs(tree)}
    varies = next(walks.dimensions(tree[key], ""), None) is not None
    return not varies and tree[key] == getattr(default, key).model_dump()


def _reachable(tree: Mapping[str, Node], key: Literal["train", "epochs"]) -> Lists:
    return list(walks.reachable(walks.only(tree["phases"], (key,))))


def _options(node: Node) -> Iterator[Node]:
    if isinstance(node, Choice):
        for option in node.options:
            yield from _options(option)
    else:
        yield node
