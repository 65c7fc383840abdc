"""The recipes of a space as trees: one without a name, or several that the parameter `recipe` chooses among."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ichtune.space import walks
from ichtune.space.distributions import Choice, Node, SpaceError, problems_at
from ichtune.space.grammar import collect, parse_tree
from ichtune.space.places import SECTIONS
from ichtune.space.walks import Dimension, Params
from ichtune.wording import shown, unknown_key

RECIPE: Final = "recipe"
HEADER: Final = ("name", "description", "metric")
"""The keys of a space that belong to none of its recipes."""
Sections = dict[str, Node]
"""A recipe's sections, with distributions for whatever varies."""
Trees = dict[str, Sections]


def parse_recipes(data: Mapping[str, object]) -> Trees:
    """Return the trees of a space's recipes.

    Raises:
        SpaceError: a line for every problem.
    """
    recipes = data.get("recipes")
    if recipes is None:
        return {"": parse_tree(data)}
    beside = [key for key in data if key not in (*HEADER, "recipes")]
    if beside:
        raise SpaceError(f"recipes: each is a whole recipe, so a space can't have {beside[0]} beside them")
    if not isinstance(recipes, Mapping) or not recipes:
        raise SpaceError(f"recipes: must be a mapping of names to recipes, got {shown(recipes)}")
    return collect({str(name): partial(_parse_recipe, str(name), each) for name, each in recipes.items()})


def _parse_recipe(name: str, data: object) -> Sections:
    with problems_at(f"recipes.{name}"):
        if not name or not isinstance(data, Mapping):
            raise SpaceError(f"must be a recipe with a name, got {shown(data)}")
        unknown = [unknown_key(key, "", SECTIONS) for key in data if key not in SECTIONS]
        if unknown:
            raise SpaceError("\n".join(unknown))
        return parse_tree(data)


def chosen(trees: Trees) -> Choice | None:
    """Return the choice of a recipe; None for a single one without a name."""
    return None if "" in trees else Choice.of(list(trees))


def resolve(trees: Trees, pick: walks.Pick) -> Any:
    """Return a recipe as plain data, with `pick` choosing the value of every distribution that applies.

    Raises:
        SpaceError: `pick` chose an option that a choice doesn't have.
    """
    choice = chosen(trees)
    if choice is None:
        return walks.resolve(trees[""], "", pick)
    name = pick(RECIPE, choice)
    with problems_at(RECIPE):
        choice.option(name)
    return walks.resolve(trees[name], "", pick)


def dimensions(trees: Trees) -> Iterator[Dimension]:
    """Yield every searched parameter once; one of several recipes is the same for all.

    Raises:
        SpaceError: it varies differently in two of them.
    """
    choice, found = chosen(trees), dict[str, Dimension]()
    if choice is not None:
        yield Dimension(RECIPE, choice, ())
    for name, tree in trees.items():
        for dimension in walks.dimensions(tree, ""):
            first = found.setdefault(dimension.name, dimension)
            if first is dimension:
                yield dimension
            elif _extent(first) != _extent(dimension):
                raise SpaceError(
                    f"recipes.{name}.{dimension.name}: varies over {dimension.distribution}, but over "
                    f"{first.distribution} in another recipe; let it vary over the same in all"
                )


def _extent(dimension: Dimension) -> object:
    """What a parameter varies over, whatever its default is."""
    distribution = dimension.distribution
    return replace(distribution, default=None), dimension.condition


def count(trees: Trees) -> int | None:
    """Return the number of combinations; None if a range is continuous."""
    counts = [walks.count(tree) for tree in trees.values()]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def grid(trees: Trees) -> Iterator[Params]:
    """Yield the parameters of every combination.

    Raises:
        SpaceError: a range is continuous.
    """
    for name, tree in trees.items():
        first = {RECIPE: name} if name else {}
        yield from (first | params for params in walks.grid(tree, ""))


def reachable(trees: Trees, section: str, *keys: str) -> list[Any]:
    """Return every value that a section can take, each once; of mappings only these keys."""
    nodes = (walks.only(tree[section], keys) for tree in trees.values())
    found = [value for node in nodes for value in walks.reachable(node)]
    return [value for place, value in enumerate(found) if value not in found[:place]]
