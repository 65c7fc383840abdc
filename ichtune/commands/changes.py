"""`--set KEY=VALUE`, in the commands that take it."""

from ichtune.errors import InputError


def parse_changes(texts: list[str]) -> dict[str, object]:
    """The changes that `--set key=value` asks for; values are read as YAML.

    Raises:
        InputError: a text without "=", or a value that is no YAML.
    """
    from ichtune.yaml_text import parse_yaml_value

    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {text}: must be KEY=VALUE, as --set training.epochs=5")
        changes[key.strip()] = parse_yaml_value(value, f"--set {key.strip()}")
    return changes
