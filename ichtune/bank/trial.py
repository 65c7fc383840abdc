"""A short trial of the engines on this machine, before a bank is built."""

import os
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import torch

from ichtune.bank.compute import CHECKED, examples
from ichtune.bank.engines.kinds import TORCH
from ichtune.bank.engines.protocol import Engine, EngineError
from ichtune.bank.engines.start import start
from ichtune.bank.networks import Network, by_network
from ichtune.bank.part import BankPart, is_finished
from ichtune.data.store import SliceStore
from ichtune.models.backbones import build_backbone

WORTH_S: Final = 10.0
"""What torch would need for the whole bank; below that, other engines take longer to convert than they save."""
FASTER: Final = 1.1
"""How much faster than torch another engine must be; a short trial is no more certain than that."""
TRIED: Final = 16
ROUNDS: Final = 2


class Choice(NamedTuple):
    engine: str
    why: str
    """In words, for people."""
    seconds: Mapping[Network, float]
    """How long all cores would need for what each network's bank lacks; empty if nothing is missing."""


def fastest(candidates: Mapping[str, Sequence[BankPart]], store: SliceStore) -> Choice:
    """Return the engine that would complete the bank first; `candidates` are its parts by engine, torch's among them.

    Engines that can't compute one of the networks, or differ from torch, are passed over; the choice says why.
    """
    if ready := next((name for name, parts in candidates.items() if all(map(is_finished, parts))), None):
        return Choice(ready, "all in the bank already", {})
    with _one_thread():
        seconds = {TORCH: _seconds(candidates[TORCH], store)}
        if sum(seconds[TORCH].values()) <= WORTH_S:
            return Choice(TORCH, "no trial, as it needs only seconds", seconds[TORCH])
        passed_over = []
        for name in (name for name in candidates if name != TORCH):
            try:
                seconds[name] = _seconds(candidates[name], store)
            except EngineError as error:
                passed_over.append(str(error).removeprefix("--engine: ").partition("; use")[0])
    return _chosen(seconds, passed_over)


def check(parts: Iterable[BankPart], store: SliceStore) -> None:
    """Start each engine that unfinished parts need, and compare its features with torch's.

    Raises:
        EngineError: an engine can't compute one of the networks, or differs from torch.
    """
    with _one_thread():
        for part, *_ in _unfinished(parts).values():
            _start(part, examples(store, part.model, CHECKED))


def _chosen(seconds: Mapping[str, Mapping[Network, float]], passed_over: Sequence[str]) -> Choice:
    total = {name: sum(each.values()) for name, each in seconds.items()}
    best = min(total, key=lambda name: total[name])
    ratio = total[TORCH] / total[best]
    if ratio < FASTER:
        best, why = TORCH, "no other is faster in a short trial"
    else:
        why = f"{ratio:.1f} times as fast as torch in a short trial"
    return Choice(best, "; ".join([why, *passed_over]), seconds[best])


def _seconds(parts: Iterable[BankPart], store: SliceStore) -> dict[Network, float]:
    """Return how long all cores would need for what each network lacks of these parts, all of one engine."""
    seconds = {}
    for network, missing in _unfinished(parts).items():
        images = examples(store, missing[0].model, TRIED)
        each = _seconds_per_image(_start(missing[0], images[:CHECKED]), images)
        seconds[network] = sum(part.count for part in missing) * each / (os.cpu_count() or 1)
    return seconds


def _unfinished(parts: Iterable[BankPart]) -> dict[Network, list[BankPart]]:
    return by_network(part for part in parts if not is_finished(part))


def _start(part: BankPart, images: torch.Tensor) -> Engine:
    backbone = build_backbone(part.model, seed=part.seed, precision=part.key.precision).eval()
    return start(part.key.engine, backbone, images, network=part.model.backbone, threads=1)


def _seconds_per_image(engine: Engine, images: torch.Tensor) -> float:
    engine(images)  # torch folds batch norms first
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        engine(images)
        times.append(time.perf_counter() - begun)
    return min(times) / len(images)


@contextmanager
def _one_thread() -> Generator[None]:
    """One thread, as a process of the bank has on a CPU."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
