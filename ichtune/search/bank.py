"""The feature bank of a search: which engine computes it, in which precision, and its parts."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch

from ichtune.bank.engines.kinds import AUTO, ENGINES, TORCH, is_installed, require
from ichtune.bank.networks import Network
from ichtune.bank.part import BankPart
from ichtune.bank.plan import plan_parts
from ichtune.bank.trial import check, fastest
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.models.precision import resolved
from ichtune.recipe import Precision
from ichtune.remote import is_uri
from ichtune.runs.settings import SearchSettings
from ichtune.space import Space


class Decided(NamedTuple):
    """A space and settings in which precision and engine are no longer `auto`, and the parts of their bank."""

    space: Space
    settings: SearchSettings
    parts: tuple[BankPart, ...]
    why: str
    """Why this engine, in words."""
    seconds: Mapping[Network, float] = MappingProxyType({})
    """How long this machine would need for each network's features, where a short trial was made."""


def decide_engine(store: SliceStore, space: Space, settings: SearchSettings) -> Decided:
    """Decide which engine computes the bank: the requested one, or the fastest that this machine has.

    Raises:
        InputError: the requested one is unknown, not installed, or can't compute a network of the space or in its
            precision.
    """
    if settings.engine != AUTO:
        require(settings.engine)
        decided = _with(settings.engine, store, space, settings, "as requested")
        _refuse_precisions(decided)
        if settings.engine != TORCH:
            check(decided.parts, store)
        return decided
    if all(variant.model.train != "frozen" for variant in space.models()):
        return _with(TORCH, store, space, settings, "nothing to compute")
    if settings.address:
        return _with(TORCH, store, space, settings, "the default on a cluster, which may have GPUs")
    if torch.cuda.is_available():
        return _with(TORCH, store, space, settings, "on the GPU")
    candidates = {name: _with(name, store, space, settings, "") for name in _usable(space, settings)}
    choice = fastest({name: each.parts for name, each in candidates.items()}, store)
    return candidates[choice.engine]._replace(why=choice.why, seconds=choice.seconds)


def _usable(space: Space, settings: SearchSettings) -> Iterator[str]:
    """Yield the installed engines that compute in the space's precisions; torch first."""
    usual = _in_precision(TORCH, space, settings)
    trains = any(variant.model.train != "frozen" for variant in space.models())
    for name in filter(is_installed, ENGINES):
        changed = _in_precision(name, space, settings)
        # Backbones that trials train would be slower in another precision than the usual one.
        if _precisions(changed) <= {*ENGINES[name].precisions} and (not trains or changed == usual):
            yield name


def _with(engine: str, store: SliceStore, space: Space, settings: SearchSettings, why: str) -> Decided:
    space, settings = _in_precision(engine, space, settings), replace(settings, engine=engine)
    return Decided(space, settings, bank_parts(store, space, settings), why)


def _in_precision(engine: str, space: Space, settings: SearchSettings) -> Space:
    """Return the space with `auto` precision resolved: for this machine or a cluster's GPUs, if the engine has it."""
    if all(variant.precision != "auto" for variant in space.models()):
        return space
    usual: Precision = "bfloat16" if settings.address else resolved("auto")
    has = ENGINES[engine].precisions
    return space.changed({"training.precision": usual if usual in has else has[0]})


def _precisions(space: Space) -> set[str]:
    """Return the precisions of the space's frozen backbones."""
    return {variant.precision for variant in space.models() if variant.model.train == "frozen"}


def _refuse_precisions(decided: Decided) -> None:
    engine = decided.settings.engine
    has = ENGINES[engine].precisions
    if wrong := _precisions(decided.space) - {*has}:
        raise InputError(
            f"--engine: {engine} computes in {' or '.join(has)} only, and the space's training.precision is "
            f"{' and '.join(sorted(wrong))}; use --set training.precision={has[0]}, or another engine"
        )


def bank_folder(settings: SearchSettings) -> str | None:
    """Return the requested bank folder as an absolute path, independent of the working directory.

    Raises:
        InputError: it is a URI.
    """
    if not settings.bank:
        return None
    if is_uri(settings.bank):
        raise InputError(f"--bank: {settings.bank} must be a folder, so that trials can memory-map it")
    return str(Path(settings.bank).absolute())


def bank_parts(store: SliceStore, space: Space, settings: SearchSettings) -> tuple[BankPart, ...]:
    """Return the bank parts of every frozen backbone that a trial may use; nothing is `auto` any more.

    Raises:
        InputError: a backbone can't be built, or the engine isn't installed.
    """
    variants = [variant for variant in space.models() if variant.model.train == "frozen"]
    parts = []
    for precision in dict.fromkeys(variant.precision for variant in variants):
        parts += plan_parts(
            store,
            [variant.model for variant in variants if variant.precision == precision],
            space.levels(),
            views=settings.views,
            seed=settings.seed,
            precision=precision,
            engine=settings.engine,
            bank=settings.bank,
        )
    return tuple(parts)
