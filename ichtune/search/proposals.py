"""How Optuna proposes recipes: its samplers, seeded, each for the spaces that it supports."""

import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from secrets import token_hex
from typing import Any, Final

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler

from ichtune.errors import InputError
from ichtune.space import Choice, Space
from ichtune.wording import not_one_of, plain


def make_sampler(name: str, seed: int, space: Space) -> BaseSampler:
    """The sampler called `name` (a key of `SAMPLERS`) for a space.

    A resumed study needs a new seed; with the old one the sampler would repeat its draws.

    Raises:
        InputError: no such sampler, one that doesn't support this space, or one whose package is missing.
    """
    if name not in SAMPLERS:
        raise InputError(f"sampler: {not_one_of(name, SAMPLERS)}")
    return SAMPLERS[name](seed, space)


def first_trials(name: str, space: Space) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield what to enqueue before the search: parameters, and the name of the point if they are one.

    For `grid` this is the whole search: every combination in order, after which the search must end
    (`space.count()` trials). For other samplers it is the space's points.

    Raises:
        SpaceError: a grid over a range with infinitely many values.
    """
    if name != "grid":
        yield from ((params, point) for point, params in space.points.items())
        return
    for params in space.grid():
        yield params, next((point for point, other in space.points.items() if other == params), None)


def _tpe(seed: int, space: Space) -> BaseSampler:
    with warnings.catch_warnings():
        # `group` models each branch's parameters together; it has been experimental in Optuna since 2.8 (2021).
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def _random(seed: int, space: Space) -> BaseSampler:
    return RandomSampler(seed=seed)


def _gp(seed: int, space: Space) -> BaseSampler:
    _refuse_branches("gp", space)
    # Startup trials and single-option choices are sampled independently by design: no warning needed.
    return GPSampler(seed=seed, warn_independent_sampling=False)


def _cmaes(seed: int, space: Space) -> BaseSampler:
    _refuse_branches("cmaes", space)
    for dimension in space.dimensions:
        if isinstance(dimension.distribution, Choice):
            first = plain(dimension.distribution.labels[0])
            raise InputError(
                f"sampler cmaes searches numeric parameters only, and {dimension.name} is a choice of "
                f"{dimension.distribution}; use tpe, or fix it, e.g. --set {dimension.name}={first}"
            )
    if len(space.dimensions) < 2:
        raise InputError(
            f"sampler cmaes needs at least two dimensions and {space.name} has fewer: use gp or tpe"
        )
    if find_spec("cmaes") is None:
        raise InputError("sampler cmaes needs the package cmaes: pip install cmaes")
    return OwnCmaEs(seed=seed, warn_independent_sampling=False)


class OwnCmaEs(CmaEsSampler):
    """CMA-ES that uses only states created by this process.

    Optuna pickles the state into the journal, and unpickling would run whatever code a foreign run holds there. A
    resumed search therefore restarts CMA-ES, just as it would with a new seed.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._attr_prefix = f"cma:{token_hex(16)}:"


def _refuse_branches(name: str, space: Space) -> None:
    """Refuse branches: both samplers model all parameters jointly and would draw a branch's own at random."""
    for dimension in space.dimensions:
        if dimension.condition:
            choice, label = dimension.condition[0]
            raise InputError(
                f"sampler {name} doesn't support branches, and {dimension.name} exists only where {dimension.when}; "
                f"use tpe, or fix {choice} (to {plain(label)}, say)"
            )


SAMPLERS: Final[dict[str, Callable[[int, Space], BaseSampler]]] = {
    "tpe": _tpe,
    "random": _random,
    "grid": _random,  # draws nothing: all combinations are enqueued, and the search ends after them
    "gp": _gp,
    "cmaes": _cmaes,
}
