"""`--compare`: every combination of some settings, on the same splits and seeds."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from analysis.retraining.options import RetrainOptions
from ichtune.errors import InputError
from ichtune.options import options_of
from ichtune.wording import not_one_of, plain
from ichtune.yaml_text import parse_yaml_value

_BY_OPTION: Final = {option.name for option in options_of(RetrainOptions) if option.recipe_key} | {"head"}


def parse_factors(texts: Sequence[str]) -> dict[str, tuple[object, ...]]:
    """The values of each factor from texts such as `train=last,all`, or several with spaces between.

    Raises:
        InputError: a text without "=" or a value, a factor given twice or with one value twice.
    """
    factors: dict[str, tuple[object, ...]] = {}
    for text in " ".join(texts).split():
        name, equals, values = text.partition("=")
        if not equals or not name or not all(values.split(",")):
            raise InputError(f"--compare {text}: must be NAME=VALUE,VALUE, e.g. --compare train=last,all")
        if name in factors:
            raise InputError(f"--compare {text}: {name} is given twice; give all its values at once")
        found = tuple(parse_yaml_value(value, f"--compare {name}") for value in values.split(","))
        if len(set(map(repr, found))) < len(found):
            raise InputError(f"--compare {text}: has a value twice")
        factors[name] = found
    return factors


def combinations(options: RetrainOptions) -> Iterator[RetrainOptions]:
    """The options of each combination of the factors' values, with a label that names them.

    Raises:
        InputError: a value that the option can't have.
    """
    if not options.factors:
        yield options
        return
    for values in product(*options.factors.values()):
        chosen = dict(zip(options.factors, values, strict=True))
        own = {name: _checked(name, value) for name, value in chosen.items() if name in _BY_OPTION}
        keys = {name: value for name, value in chosen.items() if name not in _BY_OPTION}
        if unknown := [name for name in keys if "." not in name and name not in _SECTIONS]:
            raise InputError(
                f"--compare: {not_one_of(unknown[0], [*sorted(_BY_OPTION), 'a key such as loss.name'])}"
            )
        words = "-".join(re.sub(r"[^\w.+-]", "_", plain(value)) for value in values)
        changed: dict[str, Any] = {**own, "changes": {**options.changes, **keys}}
        yield replace(options, **changed, label=f"{base_label(options)}-{words}")


def base_label(options: RetrainOptions) -> str:
    """What the labels of all combinations begin with: that of their comparison."""
    return options.label or f"rank{options.rank}"


_SECTIONS: Final = ("augmentation", "metric", "loss", "optimizer", "schedule", "sampler", "head")


def _checked(name: str, value: object) -> Any:
    kind = get_type_hints(RetrainOptions)[name]
    if get_origin(kind) is Literal and value not in get_args(kind):
        raise InputError(f"--compare {name}: {not_one_of(value, get_args(kind))}")
    return value
