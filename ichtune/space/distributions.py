"""What a space can have in place of a value: a range of numbers, or a choice of options."""

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeGuard, Union

from ichtune.errors import InputError
from ichtune.recipe import Augmentation
from ichtune.wording import did_you_mean, plain, shown

if TYPE_CHECKING:
    from optuna import Trial

Scalar = None | bool | int | float | str
Node = Union[Scalar, tuple, Augmentation, "Range", "Choice", dict[str, "Node"]]
"""A node of a space: a value (lists are tuples, lists of transforms are augmentations), a distribution, or a mapping of
nodes."""


class Numbered(dict[str, "Node"]):
    """A list of mappings as a mapping, by their numbers from 1: its nodes have names like any others."""


RANGES: Final = {
    "uniform": ("low", "high"),
    "loguniform": ("low", "high"),
    "quniform": ("low", "high", "step"),
    "int": ("low", "high"),
    "logint": ("low", "high"),
}
NAMING: Final = ("name", "backbone")
"""Keys that name an option: of all sections but the model, and of the model."""
DISTRIBUTIONS: Final = (*RANGES, "choice")


class SpaceError(InputError):
    """A search space that can't be used; the message has a line for every problem."""

    @property
    def problems(self) -> list[str]:
        return str(self).splitlines()


@contextmanager
def problems_at(place: str) -> Generator[None]:
    """Prefix every line of a SpaceError with `place`."""
    try:
        yield
    except SpaceError as error:
        raise SpaceError("\n".join(f"{place}: {problem}" for problem in error.problems)) from None


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high` inclusive, `step` apart; continuous if `step` is None."""

    kind: str
    low: float
    high: float
    step: float | None
    default: float

    @classmethod
    def parse(cls, kind: str, numbers: object) -> "Range":
        """Return the range that `{kind: numbers}` describes, with its middle as the default.

        Raises:
            SpaceError: the numbers are too few, too many or not finite, or don't make a range.
        """
        wanted = f"[{', '.join(RANGES[kind])}]"
        if not isinstance(numbers, list | tuple) or len(numbers) != len(RANGES[kind]):
            raise SpaceError(f"{kind} takes {wanted}, got {shown(numbers)}")
        if not all(map(_is_finite_number, numbers)):
            raise SpaceError(f"{kind} takes finite numbers {wanted}, got {shown(numbers)}")
        low, high, *step = numbers
        if low >= high:
            raise SpaceError(f"low must be below high, got low={plain(low)}, high={plain(high)}")
        if kind in ("loguniform", "logint") and low <= 0:
            raise SpaceError(f"{kind} needs low above 0, got low={plain(low)}")
        if kind in ("int", "logint"):
            if any(number != int(number) for number in numbers):
                raise SpaceError(
                    f"{kind} takes whole numbers, got {shown(numbers)}; for fractions use uniform"
                )
            low, high, step = int(low), int(high), [1]
        elif kind != "quniform" or not all(isinstance(number, int) for number in numbers):
            low, high, *step = map(float, numbers)
        if step:
            _check_steps(low, high, *step)
        bare = cls(kind, low, high, step[0] if step else None, default=low)
        return bare.beginning_at(bare.middle)

    def beginning_at(self, value: object) -> "Range":
        """Return the same range with another default.

        Raises:
            SpaceError: the default is outside the range.
        """
        if not self.holds(value):
            raise SpaceError(f"default {shown(value)} is outside {self}")
        return replace(self, default=self.nearest(value))

    @property
    def log(self) -> bool:
        return self.kind.startswith("log")

    @property
    def count(self) -> int | None:
        """The number of values; None if continuous."""
        return None if self.step is None else round((self.high - self.low) / self.step) + 1

    @property
    def middle(self) -> float:
        """The value halfway, by ratio for a logarithmic range."""
        halfway = math.sqrt(self.low) * math.sqrt(self.high) if self.log else (self.low + self.high) / 2
        return self.nearest(min(max(halfway, self.low), self.high))

    @property
    def within(self) -> float:
        """A value between the ends, fractional if possible (0.382 of the way is never whole by chance)."""
        return self.low + (self.high - self.low) * 0.381966 if self.step is None else self._at(1)

    def values(self) -> list[float]:
        """Return every value, in order.

        Raises:
            SpaceError: it is continuous.
        """
        if self.count is None:
            raise SpaceError(f"{self.kind} {self} has infinitely many values; use quniform, choice or int")
        return [self._at(index) for index in range(self.count)]

    def nearest(self, value: float) -> float:
        """Return the value of the range nearest to `value`, which lies between its ends."""
        return float(value) if self.step is None else self._at(round((value - self.low) / self.step))

    def _at(self, index: int) -> float:
        if isinstance(self.low, int):
            return self.low + index * int(self.step or 1)
        # In decimal, so that three tenths are 0.3 and not 0.30000000000000004.
        return float(Decimal(str(self.low)) + index * Decimal(str(self.step)))

    def holds(self, value: object) -> TypeGuard[float]:
        """Whether `value` is one of the range's values, within rounding."""
        if not _is_finite_number(value) or not self.low <= value <= self.high:
            return False
        return math.isclose(value, self.nearest(value), rel_tol=1e-9, abs_tol=1e-12)

    def suggest(self, trial: "Trial", name: str) -> float:
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def as_data(self) -> dict[str, object]:
        numbers = [getattr(self, name) for name in RANGES[self.kind]]
        return {self.kind: numbers, "default": self.default}

    def __str__(self) -> str:
        text = f"{plain(self.low)}..{plain(self.high)}"
        return f"{text} step {plain(self.step)}" if self.kind == "quniform" else text


@dataclass(frozen=True)
class Choice:
    """One of several options, each of which may hold distributions that matter only when it is chosen."""

    options: tuple[Node, ...]
    labels: tuple[Scalar, ...]
    """What Optuna and the tables call the options: scalars as they are, everything else by a short text."""
    default: Scalar
    """The label of the default option."""

    @classmethod
    def of(cls, options: Sequence[Node]) -> "Choice":
        """Return the choice between `options`, with the first as the default.

        Raises:
            SpaceError: there are no options, or two equal ones.
        """
        if not options:
            raise SpaceError("an empty choice; give at least one value")
        for position, option in enumerate(options):
            if option in options[:position]:
                first = options.index(option)
                raise SpaceError(
                    f"duplicate choice: values {first + 1} and {position + 1} are the same; drop one"
                )
        labels = _labels(options)
        return cls(tuple(options), labels, labels[0])

    def option(self, label: object) -> Node:
        """Return the option with that label.

        Raises:
            SpaceError: there is none.
        """
        if label not in self.labels:
            known = list(map(plain, self.labels))
            raise SpaceError(f"{shown(label)} is not one of {', '.join(known)}{did_you_mean(label, known)}")
        return self.options[self.labels.index(label)]

    def beginning_at(self, label: object) -> "Choice":
        """Return the same choice with another default, given by its label.

        Raises:
            SpaceError: there is no such option.
        """
        self.option(label)
        return replace(self, default=label)

    def as_data(self) -> dict[str, object]:
        data: dict[str, object] = {"choice": [as_data(option) for option in self.options]}
        return data if self.default == self.labels[0] else {**data, "default": self.default}

    def __str__(self) -> str:
        return " | ".join(map(plain, self.labels))

    def suggest(self, trial: "Trial", name: str) -> Scalar:
        return trial.suggest_categorical(name, self.labels)


def as_data(node: Node) -> object:
    """Return the plain data (dicts, lists, scalars) that the grammar parses as `node`."""
    if isinstance(node, Range | Choice):
        return node.as_data()
    if isinstance(node, Augmentation):
        return node.model_dump()
    if isinstance(node, Numbered):
        return [as_data(child) for child in node.values()]
    if isinstance(node, dict):
        return {key: as_data(child) for key, child in node.items()}
    return list(node) if isinstance(node, tuple) else node


def _is_finite_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_steps(low: float, high: float, step: float) -> None:
    if step <= 0:
        raise SpaceError(f"step must be above 0, got step={plain(step)}")
    start, end, width = (Decimal(str(number)) for number in (low, high, step))
    whole = (end - start) // width
    if start + whole * width != end:
        last = f"{plain(float(start + whole * width))} or {plain(float(start + (whole + 1) * width))}"
        raise SpaceError(f"quniform must reach high in whole steps, got high={plain(high)}; make it {last}")


def _labels(options: Sequence[Node]) -> tuple[Scalar, ...]:
    """Return a short label for each option: itself, or its name plus what distinguishes it from its namesakes."""
    short = [_label(option, options, distributions=False) for option in options]
    full = [_label(option, options, distributions=True) for option in options]
    labels = [
        brief if brief != "" and short.count(brief) == 1 else long
        for brief, long in zip(short, full, strict=True)
    ]
    numbered = [f"{label} #{number}".strip() for number, label in enumerate(labels, start=1)]
    clear = [label != "" and labels.count(label) == 1 for label in labels]
    return tuple(
        label if alone else other for label, alone, other in zip(labels, clear, numbered, strict=True)
    )


def _label(option: Node, options: Sequence[Node], distributions: bool) -> Scalar:
    """Return an option's label; with `distributions`, they count among what distinguishes it."""
    if isinstance(option, Numbered):
        return " then ".join(" ".join(_scalars(item)) for item in option.values())
    if isinstance(option, dict):
        return _branch_label(option, [other for other in options if isinstance(other, dict)], distributions)
    if isinstance(option, Range):
        return f"{option.kind} {option}" if distributions else option.kind
    if isinstance(option, Choice):
        return " or ".join(map(plain, option.labels))
    return plain(option) if isinstance(option, tuple | Augmentation) else option


def _branch_label(branch: dict[str, Node], branches: Sequence[dict[str, Node]], distributions: bool) -> str:
    name = next((key for key in NAMING if key in branch), None)
    namesakes = [other for other in branches if name is None or other.get(name) == branch[name]]
    telling = [
        f"{key}={_text(value)}"
        for key, value in branch.items()
        if value is not None
        and (distributions or not isinstance(value, Range | Choice))
        and any(other.get(key) != value for other in namesakes)
    ]
    return " ".join([*([_text(branch[name])] if name else []), *telling])


def _scalars(item: Node) -> list[str]:
    """Return the plain values of an item: what it trains and for how many epochs, if it is a phase."""
    values = item.values() if isinstance(item, dict) else ()
    return [plain(value) for value in values if isinstance(value, bool | int | float | str)]


def _text(node: Node) -> str:
    return str(node) if isinstance(node, Range | Choice) else plain(node)
