"""How Optuna proposes the next recipe: its samplers, seeded, each for the spaces that it can model."""

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
    """The sampler of that name (a key of `SAMPLERS`) for a space.

    A study that goes on gets a sampler with a new seed; with the old one it would draw the same again.

    Raises:
        InputError: no such sampler, one that can't search this space, or one whose package is missing.
    """
    if name not in SAMPLERS:
        raise InputError(f"sampler: {not_one_of(name, SAMPLERS)}")
    return SAMPLERS[name](seed, space)


def first_trials(name: str, space: Space) -> Iterator[tuple[dict[str, Any], str | None]]:
    """What to enqueue before the search: parameters, and the name of the point that they are.

    For `grid` that is the whole search: every combination in order, after which it must end (`space.count()`
    trials); for the others it is the space's points.

    Raises:
        SpaceError: a grid of a space with a range that has no end of values.
    """
    if name != "grid":
        yield from ((params, point) for point, params in space.points.items())
        return
    for params in space.grid():
        yield params, next((point for point, other in space.points.items() if other == params), None)


def _tpe(seed: int, space: Space) -> BaseSampler:
    with warnings.catch_warnings():
        # `group` models each branch's parameters together; Optuna has called it experimental since 2.8 (2021).
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def _random(seed: int, space: Space) -> BaseSampler:
    return RandomSampler(seed=seed)


def _gp(seed: int, space: Space) -> BaseSampler:
    _refuse_branches("gp", space)
    # The startup trials and a choice of one option are drawn apart by design: nothing to warn of.
    return GPSampler(seed=seed, warn_independent_sampling=False)


def _cmaes(seed: int, space: Space) -> BaseSampler:
    _refuse_branches("cmaes", space)
    for dimension in space.dimensions:
        if isinstance(dimension.distribution, Choice):
            first = plain(dimension.distribution.labels[0])
            raise InputError(
                f"sampler cmaes searches numbers alone, and {dimension.name} is a choice of "
                f"{dimension.distribution}; use tpe, or fix it, as by --set {dimension.name}={first}"
            )
    if len(space.dimensions) < 2:
        raise InputError(f"sampler cmaes needs two dimensions or more, {space.name} has fewer; use gp or tpe")
    if find_spec("cmaes") is None:
        raise InputError("sampler cmaes needs the package cmaes: pip install cmaes")
    return _OwnCmaEs(seed=seed, warn_independent_sampling=False)


class _OwnCmaEs(CmaEsSampler):
    """CMA-ES that goes on from the states of this process alone.

    Optuna keeps the state as a pickle in the journal, which runs whatever code a run from elsewhere holds there. In a
    search that goes on, CMA-ES therefore begins anew, as it does with a new seed.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._attr_prefix = f"cma:{token_hex(16)}:"


def _refuse_branches(name: str, space: Space) -> None:
    """Both model all the parameters together; what exists in a branch alone they would draw at random."""
    for dimension in space.dimensions:
        if dimension.condition:
            choice, label = dimension.condition[0]
            raise InputError(
                f"sampler {name} searches no branches, and {dimension.name} exists only where {dimension.when}; "
                f"use tpe, or fix {choice} (to {plain(label)}, say)"
            )


SAMPLERS: Final[dict[str, Callable[[int, Space], BaseSampler]]] = {
    "tpe": _tpe,
    "random": _random,
    "grid": _random,  # draws nothing: the combinations are enqueued, and with them the search ends
    "gp": _gp,
    "cmaes": _cmaes,
}
