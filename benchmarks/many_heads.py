"""Many trials of heads on one machine: in processes side by side, and batched in one module.

    python benchmarks/many_heads.py [--device cpu] [--slices 2000 20000] [--processes 1 2] [--together 4 16]

Needs no data. Prints JSON: for each size of a made-up bank (512 features in float16, mapped) and each number of
processes, trials per minute (the best of several rounds), how many times as many as with one trial at a time, and CPU
milliseconds per trial, which depend less on what else the machine does. A trial is an epoch of `fit` on five folds of
linear heads with dropout, in batches of 64: training, validation and metrics, in one thread. `together` is how many
recipes of a process share one batched module (`batched_heads.py`; 1 is `fit`), and `difference` the largest of their
logits to those of `fit`. The processes are started and warmed up before, as Ray reuses those of trials.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.batched_heads import fit_batched
from benchmarks.heads import Features, folds_of
from ichtune.labels import LABELS
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.recipe import Adam, Model, Recipe, Training
from ichtune.training.batches import Fold
from ichtune.training.fit import fit

WIDTH, FOLDS, BATCH = 512, 5, 64
SLICES_TRAINED = 60_000
"""A process trains as many trials as have about this many slices together, at least one."""


class Bank(NamedTuple):
    """The first slices of a made-up bank in a file."""

    file: Path
    slices: int


class Work(NamedTuple):
    """What each process trains: trials of `fit` one after the other, or so many recipes `together`."""

    bank: Bank
    together: int
    device: str

    @property
    def trials(self) -> int:
        return self.together if self.together > 1 else max(1, SLICES_TRAINED // self.bank.slices)


class Span(NamedTuple):
    """When a process worked, by a clock that all share."""

    process: int
    begun: float
    ended: float
    cpu_s: float


def make_bank(file: Path, slices: int) -> None:
    """Write random features, float16 `[slices, D]`."""
    rng = np.random.default_rng(0)
    features = np.lib.format.open_memmap(file, "w+", np.float16, (slices, WIDTH))
    for part in np.array_split(features, -(-slices // 10_000)):
        part[:] = rng.standard_normal(part.shape, np.float32)
    features.flush()


@lru_cache(maxsize=1)
def opened(bank: Bank) -> tuple[Features, np.ndarray, list[Fold]]:
    """Return a bank's features, labels `[N, 6]` and folds."""
    rng = np.random.default_rng(1)
    features = torch.from_numpy(np.load(bank.file, mmap_mode="c")[: bank.slices])
    labels = (rng.random((bank.slices, len(LABELS))) < 0.1).astype(np.float32)
    return Features(features), labels, folds_of(np.split(rng.permutation(bank.slices), FOLDS))


def recipes_of(count: int) -> list[Recipe]:
    """Return recipes that differ in learning rate, weight decay and dropout."""
    rng = np.random.default_rng(2)
    return [
        Recipe(
            model=Model(dropout=float(rng.uniform(0, 0.5))),
            optimizer=Adam(lr=float(10 ** rng.uniform(-3.5, -2.5)), weight_decay=float(rng.uniform(0, 0.01))),
            training=Training(epochs=1, batch_size=BATCH),
        )
        for _ in range(count)
    ]


def fit_alone(bank: Bank, recipe: Recipe, device: torch.device) -> list[np.ndarray]:
    """Train a recipe as a trial does; return each fold's validation logits `[n_f, 6]`."""
    source, labels, folds = opened(bank)
    network = Network(None, make_heads(recipe, WIDTH, range(FOLDS)))
    *_, last = fit(network, source, labels, folds, recipe, device=device)
    return last.logits


def train(work: Work) -> Span:
    """Train in this process."""
    recipes, device = recipes_of(work.trials), torch.device(work.device)
    source, labels, folds = opened(work.bank)
    begun, used = time.perf_counter(), time.process_time()
    if work.together > 1:
        fit_batched(source, WIDTH, labels, folds, recipes, device)
    else:
        for recipe in recipes:
            fit_alone(work.bank, recipe, device)
    return Span(os.getpid(), begun, time.perf_counter(), time.process_time() - used)


def difference(bank: Bank, together: int, device: str) -> float:
    """Return the largest difference between the logits of recipes trained together and each alone."""
    recipes, where = recipes_of(together), torch.device(device)
    batched = fit_batched(opened(bank)[0], WIDTH, *opened(bank)[1:], recipes, where)
    alone = [fit_alone(bank, recipe, where) for recipe in recipes]
    return max(
        float(np.abs(batched.logits[fold][place].numpy() - logits).max())
        for place, folds in enumerate(alone)
        for fold, logits in enumerate(folds)
    )


class Processes:
    """Processes of one thread each that train side by side."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pool = ProcessPoolExecutor(
            count, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
        )

    def warm_up(self, work: Work) -> None:
        """Wait until each has trained, and so imported everything and started the GPU."""
        seen: set[int] = set()
        while len(seen) < self.count:
            seen |= {span.process for span in self._all(work)}

    def rate(self, work: Work) -> tuple[float, float]:
        """Return trials per minute, and CPU milliseconds per trial."""
        spans = self._all(work)
        if len({span.process for span in spans}) < self.count:
            raise RuntimeError("a process worked twice while another waited: give them more to do")
        seconds = max(span.ended for span in spans) - min(span.begun for span in spans)
        trials = self.count * work.trials
        return 60 * trials / seconds, 1e3 * sum(span.cpu_s for span in spans) / trials

    def _all(self, work: Work) -> list[Span]:
        return list(self.pool.map(train, [work] * self.count))


def measure(
    file: Path,
    slices: Sequence[int],
    processes: Sequence[int],
    together: Sequence[int],
    device: str,
    rounds: int = 1,
) -> list[dict[str, Any]]:
    """Return the figures for each number of processes, size of the bank, and number of recipes together."""
    rows: list[dict[str, Any]] = []
    for count in processes:
        side_by_side = Processes(count)
        with side_by_side.pool:
            side_by_side.warm_up(Work(Bank(file, min(slices)), 1, device))
            works = [Work(Bank(file, size), number, device) for size in slices for number in together]
            turns = [[side_by_side.rate(work) for work in works] for _ in range(rounds)]
        for work, rates in zip(works, zip(*turns, strict=True), strict=True):
            per_min, cpu_ms = max(rate for rate, _ in rates), min(cpu for _, cpu in rates)
            key = {
                "device": device,
                "slices": work.bank.slices,
                "processes": count,
                "together": work.together,
            }
            rows.append(key | {"trials_per_min": round(per_min, 1), "cpu_ms_per_trial": round(cpu_ms, 1)})
    return rows


def relative(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to the figures how many times as many trials a minute they are as the first with one trial at a time."""
    alone: dict[float, float] = {}
    for row in rows:
        if row["processes"] == row["together"] == 1:
            alone.setdefault(row["slices"], row["trials_per_min"])
    return [row | {"times": round(row["trials_per_min"] / alone[row["slices"]], 2)} for row in rows]


def processor() -> str:
    """Return the kind of CPU, and how many cores this process may use."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{models[0] if models else platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--slices", type=int, nargs="+", default=[2_000, 20_000], help="multiples of 5")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="1 first")
    parser.add_argument("--together", type=int, nargs="+", default=[1, 4, 16], help="recipes; 1 first")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bank.npy"
        make_bank(file, max(given.slices))
        rows = measure(file, given.slices, given.processes, given.together, given.device, given.rounds)
        different = difference(Bank(file, min(given.slices)), max(given.together), given.device)
    where = torch.cuda.get_device_name() if given.device == "cuda" else processor()
    about = {"machine": where, "torch": torch.__version__, "difference": different}
    print(json.dumps(about | {"heads": relative(rows)}, indent=2))


if __name__ == "__main__":
    main()
