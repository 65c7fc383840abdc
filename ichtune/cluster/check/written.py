"""A cluster file as it was written: its values with their lines, and what is wrong with them."""

from dataclasses import dataclass
from typing import Any

import yaml

from ichtune.errors import InputError


@dataclass(frozen=True, order=True)
class Finding:
    """Something wrong in a file, with how to mend it."""

    line: int
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}"


class Document:
    """A YAML document by PyYAML's rules, which are those of Ray and KubeRay's tools, with the line of every key."""

    def __init__(self, node: yaml.Node, value: Any) -> None:
        self.value = value
        self._node = node

    def line(self, *keys: object) -> int:
        """The line of a key or list item, or of the last one on the way to it that was written."""
        node, line = self._node, self._node.start_mark.line + 1
        for key in keys:
            found = _below(node, key)
            if found is None:
                break
            line, node = found
        return line


def _below(node: yaml.Node, key: object) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark.line + 1, node.value[key]
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(key):
                return name.start_mark.line + 1, value
        for name, value in node.value:
            if name.value == "<<" and (found := _below(value, key)):
                return found
    return None


def documents(text: str, where: str) -> list[Document]:
    """Return the documents of a YAML file.

    Raises:
        InputError: it isn't YAML; names the line.
    """
    try:
        nodes = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node]
        values = [value for value in yaml.safe_load_all(text) if value is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(f"{where}, line {mark.line + 1 if mark else 1}: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{where}: not YAML ({str(error).splitlines()[0]})") from None
    return [Document(node, value) for node, value in zip(nodes, values, strict=True)]


def at(value: Any, *keys: object) -> Any:
    """The value below nested keys; None if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def items(value: Any) -> list[Any]:
    """A list as it is; anything else as no items."""
    return value if isinstance(value, list) else []
