"""Speed of computing the feature bank, compared with the same engine's bare forward pass on ready images.

    OMP_NUM_THREADS=1 python benchmarks/bank.py [--processes 2] [--threads 1] [--backbone resnet18] ...

Prints JSON: rows per second of both by augmentation level, their ratio (medians over rounds in which the two take
turns), and the rendering speed of one thread. With `--engines`, prints instead how fast each engine computes the same
bank without augmentation, in each precision that it has (medians over rounds in which all take turns, each on processes
of its own, which have started it before), and its ratio to torch's best. The slices are made up, 256 x 256 and smooth;
the weights are random, which doesn't affect the time.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import pandas as pd
import torch

from ichtune.bank.build import Work, build, compute_chunk
from ichtune.bank.compute import BATCH_ROWS
from ichtune.bank.engines.kinds import ENGINES, TORCH, is_installed
from ichtune.bank.engines.torch_engine import TorchEngine
from ichtune.bank.part import BankPart
from ichtune.bank.plan import plan_parts
from ichtune.data.slice_table import COLUMNS
from ichtune.data.store import VERSION, SliceStore, StoreInfo, write_info
from ichtune.inputs.images import ImageSource
from ichtune.models.backbones import build_backbone
from ichtune.recipe import Level, Model, Precision

SIZE = 256
LEVELS: tuple[Level, ...] = ("normal", "moderate", "aggressive")


def make_store(path: Path, count: int) -> SliceStore:
    """Make a store of `count` smooth slices, all in the training set."""
    hu = np.lib.format.open_memmap(path / "hu.npy", "w+", np.int16, (count, SIZE, SIZE))
    for row in range(count):
        noise = np.random.default_rng(row).normal(40, 60, (24, 24)).astype(np.float32)
        hu[row] = cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    hu.flush()
    table = pd.DataFrame({name: np.zeros(count, np.int8) for name in COLUMNS}).assign(split="train")
    table.to_parquet(path / "slices.parquet", index=False)
    write_info(
        path,
        StoreInfo(VERSION, count, 1, 0, SIZE, "rsna", None, 0.2, 5, 0, False, True, f"{count} smooth slices"),
    )
    return SliceStore.open(path)


def bare_forward(model: Model, precision: Precision, count: int, threads: int) -> float:
    """Return images per second of the bank's engine alone, on ready images, in the bank's batch size."""
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    engine = TorchEngine(build_backbone(model, seed=0, precision=precision).eval())
    images = torch.rand(BATCH_ROWS, len(model.windows), model.size, model.size, device=device)
    engine(images).cpu()
    begun = time.perf_counter()
    for _ in range(count // BATCH_ROWS):
        engine(images).cpu()
    return count / (time.perf_counter() - begun)


def rendering(store: SliceStore, model: Model, level: Level, threads: int) -> float:
    """Return images per second of rendering alone."""
    source = ImageSource(store.hu, model, level, seed=0, views=1, threads=threads)
    begun = time.perf_counter()
    for _ in source.batches(np.split(np.arange(len(store)), len(store) // BATCH_ROWS), 0):
        pass
    return len(store) / (time.perf_counter() - begun)


class Machine:
    """A number of processes with a number of threads each."""

    def __init__(self, processes: int, threads: int) -> None:
        self.processes, self.threads = processes, threads
        self.pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))

    def bare(self, model: Model, precision: Precision, count: int) -> float:
        share = [
            self.pool.submit(bare_forward, model, precision, count // self.processes, self.threads)
            for _ in range(self.processes)
        ]
        return sum(future.result() for future in share)

    def bank(self, part: BankPart) -> float:
        shutil.rmtree(part.folder, ignore_errors=True)
        begun = time.perf_counter()
        build([part], run=self._run)
        return part.count / (time.perf_counter() - begun)

    def _run(self, work: Work) -> Iterator[int]:
        done = [self.pool.submit(compute_chunk, part, chunk, threads=self.threads) for part, chunk in work]
        return (future.result() for future in done)


def model_of(arguments: argparse.Namespace) -> Model:
    return Model(
        backbone=arguments.backbone, weights="random", windows=arguments.windows, size=arguments.size
    )


def measure(arguments: argparse.Namespace, store: SliceStore) -> dict[str, object]:
    model = model_of(arguments)
    precision = arguments.precision
    parts = plan_parts(store, [model], LEVELS, views=1, seed=0, precision=precision)
    machine = Machine(arguments.processes, arguments.threads)
    for part in parts:  # every process imports, builds and warms up
        machine.bank(part)
    result: dict[str, object] = {**vars(arguments), "torch": torch.__version__, "batch": BATCH_ROWS}
    for part in parts:
        rounds = [
            (machine.bare(model, precision, len(store)), machine.bank(part)) for _ in range(arguments.rounds)
        ]
        result[str(part.key.level)] = {
            "bare_forward_per_s": round(median(bare for bare, _ in rounds), 1),
            "bank_per_s": round(median(bank for _, bank in rounds), 1),
            "ratio": round(median(bank / bare for bare, bank in rounds), 3),
            "rendering_per_s_and_thread": round(rendering(store, model, part.key.level, 1), 1),
        }
    return result


def measure_engines(arguments: argparse.Namespace, store: SliceStore) -> dict[str, object]:
    model = model_of(arguments)
    kinds = [
        (name, precision) for name in ENGINES if is_installed(name) for precision in ENGINES[name].precisions
    ]
    [*parts] = (
        plan_parts(store, [model], ["normal"], views=1, seed=0, precision=precision, engine=name)[0]
        for name, precision in kinds
    )
    machines = [Machine(arguments.processes, arguments.threads) for _ in kinds]
    rates: list[list[float]] = [[] for _ in kinds]
    for round_number in range(arguments.rounds + 1):
        for machine, part, rate in zip(machines, parts, rates, strict=True):
            seen = machine.bank(part)
            if round_number:  # in the first, every process imports, converts and warms up
                rate.append(seen)
    torchs = [rate for (name, _), rate in zip(kinds, rates, strict=True) if name == TORCH]
    best = max(map(median, torchs))
    return {**vars(arguments), "torch": torch.__version__, "batch": BATCH_ROWS} | {
        f"{name} {precision}": {"bank_per_s": round(median(rate), 1), "ratio": round(median(rate) / best, 2)}
        for (name, precision), rate in zip(kinds, rates, strict=True)
    }


def arguments_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments in these words, or in those of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slices", type=int, default=1024)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--windows", nargs="+", default=["brain"])
    parser.add_argument("--size", type=int, default=224, help="of the images, in pixels")
    parser.add_argument("--precision", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", action="store_true", help="compare all installed engines")
    return parser.parse_args(words)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        arguments = arguments_of()
        compare = measure_engines if arguments.engines else measure
        print(json.dumps(compare(arguments, make_store(Path(folder), arguments.slices)), indent=2))


if __name__ == "__main__":
    main()
