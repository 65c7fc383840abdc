"""A space as a tree for the terminal: what is fixed, what varies and how, and what is tried first."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ichtune.space.distributions import Choice, Node, Numbered, Range
from ichtune.space.finetuning import SECTION, has_effect
from ichtune.space.phases import used
from ichtune.space.walks import default_params
from ichtune.wording import plain

if TYPE_CHECKING:
    from ichtune.space.space import Space

HEADING, SEARCHED, BRANCH, QUIET = "bold", "cyan", "magenta", "dim"
TRIED = "tried first"


def space_tree(space: "Space") -> Tree:
    """Return a tree of every section with its branches, the points, and the size of the search."""
    title = Text.assemble((space.name, HEADING), f"  {space.description}" if space.description else "")
    better = "highest" if space.direction == "max" else "lowest"
    tree = Tree(
        Text.assemble(title, (f"\nsearches for the {better} {space.metric}", QUIET)), guide_style=QUIET
    )
    for name, sections in space.trees.items():
        branch = tree.add(Text.assemble("recipe ", (name, BRANCH))) if name else tree
        _add_sections(branch, used(sections if has_effect(sections) else _without(SECTION, sections)))
    if space.recipes:
        tree.add(_row(Text(TRIED, HEADING), Text("each recipe, with its defaults", QUIET)))
    else:
        _add_points(tree.add(_row(Text(TRIED, HEADING))), space)
    tree.add(Text(_extent(space), QUIET))
    return tree


def _without(section: str, sections: Mapping[str, Node]) -> Mapping[str, Node]:
    return {name: node for name, node in sections.items() if name != section}


def _add_sections(parent: Tree, sections: Mapping[str, Node]) -> None:
    width = max(map(len, (*sections, TRIED)))
    for section, node in sections.items():
        _add(parent, Text(section.ljust(width), HEADING), node)


def _add_points(parent: Tree, space: "Space") -> None:
    defaults = default_params(space.sections, "")
    width = max(map(len, space.points), default=0)
    for name, params in space.points.items():
        other = {key: value for key, value in params.items() if key not in defaults or defaults[key] != value}
        parent.add(_row(Text(name.ljust(width), BRANCH), _listing(other) or Text("the defaults", QUIET)))


def _add(parent: Tree, head: Text, node: Node) -> None:
    """Add a line for a node, and below it whatever varies within it."""
    if isinstance(node, Numbered):
        below = parent.add(_row(head))
        for number, item in node.items():
            _add_sections(below.add(Text(number, BRANCH)), item if isinstance(item, dict) else {})
    elif isinstance(node, dict):
        searched = {key: child for key, child in node.items() if isinstance(child, Range | Choice)}
        below = parent.add(_row(head, _fixed(node, head.plain)))
        for key, child in searched.items():
            _add(below, Text(key.ljust(max(map(len, searched)))), child)
    elif isinstance(node, Choice) and any(
        isinstance(option, dict | Range | Choice) for option in node.options
    ):
        below = parent.add(_row(head, Text("one of", SEARCHED), _default(node)))
        width = max(len(plain(label)) for label in node.labels)
        for label, option in zip(node.labels, node.options, strict=True):
            _add_branch(below, Text(plain(label).ljust(width), BRANCH), option)
    else:
        parent.add(_row(head, *_leaf(node)))


def _add_branch(parent: Tree, label: Text, option: Node) -> None:
    if isinstance(option, dict | Range | Choice):
        _add(parent, label, option)
    else:
        parent.add(_row(label))


def _row(*cells: Text) -> Table:
    """Return the cells side by side; a long last cell wraps below its own start."""
    row = Table.grid(padding=(0, 2, 0, 0))
    filled = [cell for cell in cells if cell]
    for _ in filled[:-1]:
        row.add_column(no_wrap=True)
    row.add_row(*filled)
    return row


def _leaf(node: Node) -> tuple[Text, ...]:
    if isinstance(node, Choice):
        return Text(str(node), SEARCHED), _default(node)
    if isinstance(node, Range):
        return Text(_span(node), SEARCHED), Text(f"default {plain(node.default)}", QUIET)
    return (Text(plain(node), QUIET),)


def _span(numbers: Range) -> str:
    ways = {
        "loguniform": "log",
        "int": "whole",
        "logint": "whole, log",
        "quniform": f"step {plain(numbers.step)}",
    }
    span = f"{plain(numbers.low)} to {plain(numbers.high)}"
    return f"{span}, {ways[numbers.kind]}" if numbers.kind in ways else span


def _default(choice: Choice) -> Text:
    """Return the default of a choice, unless it is the first option."""
    return Text("" if choice.default == choice.labels[0] else f"default {plain(choice.default)}", QUIET)


def _fixed(node: dict[str, Node], head: str) -> Text:
    """Return the fixed values of a mapping that its head doesn't show; nulls mean "not used" and are left out."""
    values = {
        key: child for key, child in node.items() if not isinstance(child, Range | Choice | dict | None)
    }
    name = values.pop("name", None)
    unsaid = _listing({key: child for key, child in values.items() if f"{key}={plain(child)}" not in head})
    return (
        unsaid if name is None or name in head.split() else Text.assemble((plain(name), QUIET), "  ", unsaid)
    )


def _listing(values: Mapping[str, object]) -> Text:
    """Return `size=128  train=frozen`."""
    return Text("  ".join(f"{key}={plain(value)}" for key, value in values.items()), QUIET)


def _extent(space: "Space") -> str:
    """Return `7 dimensions, 2 of them in branches; 48 combinations`."""
    dimensions, combinations = space.dimensions, space.count()
    inner = sum(bool(dimension.condition) for dimension in dimensions)
    branches = f", {inner} of them in branches" if inner else ""
    many = "infinitely many combinations" if combinations is None else f"{combinations:,} combinations"
    return f"{len(dimensions)} dimensions{branches}; {many}"
