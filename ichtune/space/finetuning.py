"""Settings of fine-tuning in a space whose backbones are never trained."""

from collections.abc import Mapping

from ichtune.recipe import Recipe
from ichtune.space import phases, walks
from ichtune.space.distributions import Node, SpaceError

SECTION = "finetuning"


def has_effect(tree: Mapping[str, Node]) -> bool:
    """Whether any recipe of this tree trains its backbone."""
    own = walks.reachable(walks.only(tree["model"], ("train",)))
    return any(phases.widest(tree, model["train"])[-1] != "frozen" for model in own)


def refuse_without_effect(tree: Mapping[str, Node]) -> None:
    """Refuse settings of fine-tuning if no recipe of this tree trains its backbone.

    Raises:
        SpaceError: they vary, or are not the defaults.
    """
    if has_effect(tree):
        return
    node, default = tree[SECTION], Recipe().finetuning.model_dump()
    changed = (
        [f".{key}" for key, value in node.items() if value != default[key]]
        if isinstance(node, dict)
        else [""]
    )
    if changed:
        raise SpaceError(
            f"{SECTION}{changed[0]}: has no effect while model.train is frozen; leave it out, or train the backbone, "
            "as with --set model.train=all"
        )
