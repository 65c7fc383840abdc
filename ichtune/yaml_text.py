"""YAML with scalars as people mean them: `1e-5` is a number, `on` and `no` are words.

PyYAML follows YAML 1.1, where `1e-5` is a string, `no` is false, `010` is eight and `1:30` is ninety. Here
numbers are decimal, only true and false are booleans, dates stay strings, and `None` is null. The text may be
untrusted: tags are refused, and its size, its depth and the expansion of its aliases are limited.
"""

import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import NoReturn

import yaml

from ichtune.errors import InputError
from ichtune.files import read_bounded

MOST_BYTES = 1_000_000
MOST_VALUES = 100_000
"""Keys and values in a document, with aliases expanded."""
DEEPEST = 50
"""Levels of lists and mappings."""

_NULL = r"~|null|Null|NULL|None|"
_BOOL = r"true|True|TRUE|false|False|FALSE"
_INT = r"[-+]?(?:0|[1-9][0-9_]*)"
_FLOAT = (
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_RULES = {
    "tag:yaml.org,2002:null": (_NULL, ["~", "n", "N", ""]),
    "tag:yaml.org,2002:bool": (_BOOL, list("tTfF")),
    "tag:yaml.org,2002:int": (_INT, list("-+0123456789")),
    "tag:yaml.org,2002:float": (_FLOAT, list("-+.0123456789")),
    "tag:yaml.org,2002:merge": (r"<<", ["<"]),
}


class YamlError(InputError):
    """Text that isn't YAML or not of the expected shape; the message names the line."""


class _Loader(yaml.SafeLoader):
    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.deep_construct = True  # so that an alias to its own parent is an error, not an infinite value
        self._depth = 0
        self._extents: dict[yaml.Node, tuple[int, int]] = {}
        """How many values each finished node holds, and how many levels deep."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if getattr(event, "tag", None) is not None:
            _refuse(f"a tag ({event.tag}); only plain values are allowed", event)
        self._depth += 1
        if self._depth > DEEPEST:
            _refuse(f"more than {DEEPEST} levels of nesting", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and node not in self._extents:
            below = [self._extents.get(child, (1, 1)) for child in _children(node)]
            self._extents[node] = (
                1 + sum(values for values, _ in below),
                1 + max((depth for _, depth in below), default=0),
            )
            values, depth = self._extents[node]
            if values > MOST_VALUES:
                _refuse(f"more than {MOST_VALUES:,} values with aliases expanded", event)
            if depth > DEEPEST:
                _refuse(f"more than {DEEPEST} levels of nesting with aliases expanded", event)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"duplicate key {key.value!r}", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _children(node: yaml.Node) -> list[yaml.Node]:
    """Return the direct children of a node."""
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _refuse(problem: str, event: yaml.Event) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


class _Dumper(yaml.SafeDumper):
    def serialize(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.CollectionNode):
            node.flow_style = False  # even a short document has one key per line
        super().serialize(node)

    def ignore_aliases(self, data: object) -> bool:
        return True  # people read it: no &id001

    def represent_sequence(
        self, tag: str, sequence: Iterable, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        node.flow_style = all(isinstance(item, yaml.ScalarNode) for item in node.value)
        return node

    def represent_mapping(
        self, tag: str, mapping: Iterable, flow_style: bool | None = None
    ) -> yaml.MappingNode:
        """Put `{loguniform: [1.0e-05, 0.01]}` on one line, and longer or deeper mappings on one line per key."""
        node = super().represent_mapping(tag, mapping, flow_style)
        flat = all(isinstance(value, yaml.ScalarNode) or value.flow_style for _, value in node.value)
        node.flow_style = flat and len(node.value) <= 2
        return node


for _yaml_class in (_Loader, _Dumper):
    _yaml_class.yaml_implicit_resolvers = {}
    for _tag, (_pattern, _first) in _RULES.items():
        _yaml_class.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


def read_yaml(path: Path) -> dict:
    """Return the mapping in a YAML file.

    Raises:
        YamlError: the file is missing, too large, not UTF-8, not YAML, or not a mapping; names the line.
    """
    try:
        text = read_bounded(path, MOST_BYTES)
    except FileNotFoundError:
        raise YamlError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise YamlError(f"{path}: is a folder, not a YAML file") from None
    except InputError as error:
        raise YamlError(str(error)) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict:
    """Return the mapping in YAML text; `where` names the text in messages.

    Raises:
        YamlError: it isn't YAML, has a duplicate key, or isn't a mapping; names the line.
    """
    value = parse_yaml_value(text, where)
    if value is None:
        raise YamlError(f"{where}, line 1: is empty; must be a mapping of keys to values")
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "a single value"
        raise YamlError(f"{where}, line {_first_line(text)}: holds {kind}; must be a mapping (key: value)")
    return value


def parse_yaml_value(text: str, where: str) -> object:
    """Return any YAML value, such as the right side of `--set key=value`.

    Raises:
        YamlError: it isn't YAML or has a duplicate key; names the line.
    """
    try:
        return yaml.load(text.removeprefix("\ufeff"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise YamlError(f"{where}, line {line}: {_plainly(error)}") from None
    except ValueError as error:  # an integer of thousands of digits
        raise YamlError(f"{where}: {str(error).partition(';')[0]}") from None
    except yaml.YAMLError as error:  # a character that text files don't contain
        raise YamlError(f"{where}: {error}") from None


def write_yaml(data: dict) -> str:
    """Return plain values as YAML that `parse_yaml` reads back unchanged."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _plainly(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or str(error)
    if "'\\t'" in problem:
        return "YAML can't be indented with tabs; use spaces"
    if "expected a single document" in str(error):
        return "a second document begins (---); there must be only one"
    return ", ".join(part for part in (error.context, problem) if part)


def _first_line(text: str) -> int:
    """Return the number of the first line that is neither blank nor a comment."""
    lines = enumerate(text.splitlines(), start=1)
    return next((number for number, line in lines if line.strip() and not line.lstrip().startswith("#")), 1)
