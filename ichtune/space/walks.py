"""Traversals of a space's tree: one recipe's values, every combination, every dimension.

A parameter is named by its path, joined by "." (Ray would split at "/"). Inside an option the path includes the
option's label: `optimizer.sgd.lr` and `optimizer.adam.lr` can have different ranges.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from math import prod
from typing import Any

from ichtune.recipe import Augmentation
from ichtune.space.distributions import Choice, Node, Numbered, Range, Scalar, SpaceError
from ichtune.wording import plain

Pick = Callable[[str, Range | Choice], Any]
Params = dict[str, Any]


@dataclass(frozen=True)
class Dimension:
    """A searched parameter: its Optuna name, its distribution, and the choices it depends on."""

    name: str
    distribution: Range | Choice
    condition: tuple[tuple[str, Scalar], ...]
    """Parameters and the labels they must have for this one to exist; empty if it always does."""

    @property
    def when(self) -> str:
        return " and ".join(f"{name} is {plain(label)}" for name, label in self.condition)


@lru_cache(maxsize=None, typed=True)  # true and 1 are different labels
def named(name: str, part: Scalar) -> str:
    """Return the name of the child of node `name` under `part`, a key or an option's label."""
    below = (part if isinstance(part, str) else plain(part)).replace("/", "|")
    return f"{name}.{below}" if name else below


def resolve(node: Node, name: str, pick: Pick) -> Any:
    """Return the plain value of `node`, with `pick` choosing the value of every distribution that applies.

    Raises:
        SpaceError: `pick` chose an option that a choice doesn't have.
    """
    if isinstance(node, Numbered):
        return [resolve(child, named(name, key), pick) for key, child in node.items()]
    if isinstance(node, dict):
        return {key: resolve(child, named(name, key), pick) for key, child in node.items()}
    if isinstance(node, Choice):
        label = pick(name, node)
        try:
            option = node.option(label)
        except SpaceError as error:
            raise SpaceError(f"{name}: {error}") from None
        return resolve(option, named(name, label), pick)
    return pick(name, node) if isinstance(node, Range) else node


def default_params(node: Node, name: str) -> Params:
    """Return the parameters of the node's defaults."""
    params: Params = {}

    def pick(parameter: str, distribution: Range | Choice) -> Any:
        params[parameter] = distribution.default
        return distribution.default

    resolve(node, name, pick)
    return params


def beginning_at(node: Node, value: Any) -> Node:
    """Return the same tree with the parts of `value` as its defaults, as far as its distributions have them."""
    if isinstance(node, Choice):
        fitting = [
            label for label, option in zip(node.labels, node.options, strict=True) if _is(option, value)
        ]
        return node.beginning_at(fitting[0]) if fitting else node
    if isinstance(node, Range):
        return node.beginning_at(value) if node.holds(value) else node
    if isinstance(node, dict) and isinstance(value, dict):
        return {
            key: beginning_at(child, value[key]) if key in value else child for key, child in node.items()
        }
    return node


def _is(option: Node, value: Any) -> bool:
    plainly = option.model_dump() if isinstance(option, Augmentation) else option
    return type(plainly) is type(value) and plainly == value


def dimensions(node: Node, name: str, condition: tuple[tuple[str, Scalar], ...] = ()) -> Iterator[Dimension]:
    """Yield every searched parameter; a choice comes before the parameters in its options."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from dimensions(child, named(name, key), condition)
    elif isinstance(node, Range):
        yield Dimension(name, node, condition)
    elif isinstance(node, Choice):
        yield Dimension(name, node, condition)
        for label, option in zip(node.labels, node.options, strict=True):
            yield from dimensions(option, named(name, label), (*condition, (name, label)))


def count(node: Node) -> int | None:
    """Return the number of combinations; None if a range is continuous."""
    if isinstance(node, Range):
        return node.count
    if not isinstance(node, dict | Choice):
        return 1
    counts = [count(child) for child in (node.values() if isinstance(node, dict) else node.options)]
    known = [number for number in counts if number is not None]
    if len(known) < len(counts):
        return None
    return prod(known) if isinstance(node, dict) else sum(known)


def grid(node: Node, name: str) -> Iterator[Params]:
    """Yield the parameters of every combination; the last parameter varies fastest.

    Raises:
        SpaceError: a range is continuous.
    """
    if isinstance(node, dict):
        parts = [list(grid(child, named(name, key))) for key, child in node.items()]
        for combination in product(*parts):
            yield {key: value for part in combination for key, value in part.items()}
    elif isinstance(node, Choice):
        for label, option in zip(node.labels, node.options, strict=True):
            for rest in grid(option, named(name, label)):
                yield {name: label, **rest}
    elif isinstance(node, Range):
        try:
            yield from ({name: value} for value in node.values())
        except SpaceError as error:
            raise SpaceError(f"{name}: {error}") from None
    else:
        yield {}


def only(node: Node, keys: Iterable[str]) -> Node:
    """Return the same tree with its mappings reduced to `keys`."""
    if isinstance(node, Numbered):
        return Numbered({number: only(child, keys) for number, child in node.items()})
    if isinstance(node, dict):
        return {key: child for key, child in node.items() if key in keys}
    if isinstance(node, Choice):
        return Choice(tuple(only(option, keys) for option in node.options), node.labels, node.default)
    return node


def reachable(node: Node) -> Iterator[Any]:
    """Yield every value that `node` can take, each once; a continuous range is an error."""
    seen = []
    for params in grid(node, ""):
        value = resolve(node, "", lambda parameter, _, params=params: params[parameter])
        if value not in seen:
            seen.append(value)
            yield value


def corners(node: Node) -> list[Any]:
    """Return plain values of `node` that cover every option and both ends of every range, for every pair of keys.

    Rules of the recipe types involve at most two keys (nesterov and momentum), so pairs are enough.
    """
    if isinstance(node, Range):
        return [node.low, node.high]
    if isinstance(node, Choice):
        return [corner for option in node.options for corner in corners(option)]
    if not isinstance(node, dict):
        return [node]
    defaults = resolve(node, "", lambda _, distribution: distribution.default)
    searched = {key: corners(child) for key, child in node.items() if _is_searched(child)}
    others = [
        {**defaults, **dict(zip(pair, values, strict=True))}
        for pair in combinations(searched, min(2, len(searched)) or 1)
        for values in product(*(searched[key] for key in pair))
    ]
    return [defaults, *others]


def _is_searched(node: Node) -> bool:
    return next(dimensions(node, ""), None) is not None
