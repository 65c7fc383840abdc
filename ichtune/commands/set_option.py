"""`--set KEY=VALUE`, for the commands that accept it."""

from ichtune.errors import InputError


def parse_changes(texts: list[str]) -> dict[str, object]:
    """The changes that `--set key=value` requests; values are parsed as YAML.

    Raises:
        InputError: a text without "=", or a value that isn't YAML.
    """
    from ichtune.yaml_text import parse_yaml_value

    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {text}: must be KEY=VALUE, e.g. --set training.epochs=5")
        changes[key.strip()] = parse_yaml_value(value, f"--set {key.strip()}")
    return changes
