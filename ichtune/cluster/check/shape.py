"""What in a cluster file has a wrong type, a value out of bounds or an unknown key, by a JSON schema."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft7Validator, ValidationError

from ichtune.cluster.check.written import Document, Finding, at
from ichtune.wording import did_you_mean, not_one_of, shown

WORDS: Final = {
    "array": ("a list", "[...]"),
    "boolean": ("true or false", "true"),
    "integer": ("a whole number", "1"),
    "number": ("a number", "1.5"),
    "object": ("a mapping", "{key: value}"),
    "string": ("text", "'...'"),
}
"""The types of JSON schemas in words, each with an example."""
Schema = Mapping[str, Any]


def misshapen(file: Document, schema: Schema) -> list[Finding]:
    """Return what doesn't have the shape that a schema describes, by line.

    What is only missing is left to the checks that can say what it is for.
    """
    if found := list(_keys_that_are_not_text(file, file.value, ())):
        return found
    errors = Draft7Validator(schema).iter_errors(file.value)
    return sorted(
        finding for error in errors if error.validator != "required" for finding in findings_of(file, error)
    )


def findings_of(file: Document, error: ValidationError) -> Iterator[Finding]:
    """Yield a schema's complaint as findings: one, or one per unknown key."""
    keys, value, limit = [*error.absolute_path], error.instance, error.validator_value
    place = _name(keys)
    if error.validator == "additionalProperties":
        known = at(error.schema, "properties") or {}
        for key in sorted(value.keys() - known.keys()):
            inside = f" in {place}" if place else ""
            mend = did_you_mean(key, known).removeprefix("; ") or f"known keys are {', '.join(known)}"
            yield Finding(file.line(*keys, key), f"unknown key {key!r}{inside}", mend)
        return
    what, mend = f"{place}: {error.message}", "correct or remove it"
    if error.validator == "type":
        types = [WORDS[each] for each in ([limit] if isinstance(limit, str) else limit) if each in WORDS]
        wanted, example = " or ".join(words for words, _ in types), types[0][1]
        written = f"{keys[-1]}: {example}" if isinstance(keys[-1], str) else f"- {example}"
        what, mend = f"{place}: {shown(value)} is not {wanted}", f"write it as `{written}`"
    elif error.validator == "minimum":
        what, mend = f"{place}: {shown(value)} is below {limit}", f"use at least {limit}"
    elif error.validator == "enum":
        what, mend = f"{place}: {not_one_of(value, map(str, limit))}", "use one of them"
    yield Finding(file.line(*keys), what.removeprefix(": "), mend)


def _keys_that_are_not_text(file: Document, value: Any, keys: tuple[object, ...]) -> Iterator[Finding]:
    """Yield numbers, dates and the like for which YAML takes a key without quotes."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        if isinstance(value, dict) and not isinstance(key, str):
            what = f"{_name([*keys, key])}: the key {shown(key)} is not text"
            yield Finding(file.line(*keys, key), what, "put it in quotes")
        yield from _keys_that_are_not_text(file, item, (*keys, key))


def _name(keys: Any) -> str:
    return ".".join(map(str, keys))
