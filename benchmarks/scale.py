"""How a search scales: what is measured on this machine, and a simulation of 1 to 256 GPUs from it.

    python benchmarks/scale.py [--data STORE] [--trials 10000] [--raylets 1 2 4] [--raylet-trials 100] [--slices 750000]
        [--views-per-s 1027] [--usd-per-gpu-hour USD]

Prints JSON:

- `driver` (measured): a search of `--trials` trials with the real searcher, scheduler, records and Ray, two at a time,
  on a local Ray. Only the training is replaced, by replaying one real training with other scores, so that what is left
  is the driver's work and Ray's. Milliseconds per trial over each tenth of the search; those of the driver's own CPU
  time, which depend less on what else the machine does; its resident memory at the end of each tenth; the size of the
  journal, and the seconds that a resumed search needs to open it.
- `searcher` (measured): as many trials through the searcher, its sampler (TPE) and its journal alone, without Ray and
  without writing trials: CPU milliseconds per trial over each tenth.
- `raylets` (measured): the same with `--raylet-trials` trials on clusters of one-core raylets, all on this machine.
  With more raylets than idle cores, this shows what the nodes cost, not a speed-up.
- `heads` (measured): linear heads of five folds on a random feature bank of `--slices` x 512 in float16, on one
  thread: CPU seconds per epoch at batches of 64 and of 512, and peak resident memory.
- `simulated`: hours of the bank (`--views` per slice) and of `--simulated-trials` trials on N GPUs, four
  trials a GPU with one core each. Assumes that an epoch takes as long as measured in `heads` at a batch of
  512, that ASHA lets trials run `--mean-epochs` epochs on average, and that the driver starts and ends one trial at a
  time, in the CPU time that as many first trials took it in `driver`, to the next whole tenth. `driver_share` is how
  busy the driver is; at 1 it is the brake, and more GPUs don't help. Not measured here: `--views-per-s`, the bank's
  rate on one GPU (the default is an H200's, in the README). `--usd-per-gpu-hour`, the price of the same GPU, adds what
  the GPU hours cost.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from ray import cloudpickle
from rich.console import Console

import ichtune.search.plan as planning
from benchmarks.heads import folds_of
from ichtune.commands import search_flow
from ichtune.data.phantom.demo import demo_store
from ichtune.labels import LABELS
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.recipe import Model, Recipe, Training, recipe_hash
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.runs.study import ENDED, is_settled, open_study
from ichtune.search.proposals import make_sampler
from ichtune.search.recovery import recover
from ichtune.search.searcher import OBJECTIVE, StudySearcher
from ichtune.space import Space
from ichtune.training.experiment import Experiment
from ichtune.training.fit import fit
from ichtune.training.results import EpochResult

NAME, AT_ONCE, TENTHS = "scale", 2, 10
WIDTH, FOLDS = 512, 5
GPUS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TRIALS_PER_GPU = 4
SPACE = {
    "name": NAME,
    "model": {"backbone": "resnet18", "weights": "random", "size": 32, "dropout": {"uniform": [0.0, 0.6]}},
    "optimizer": {
        "choice": [
            {"name": "adam", "lr": {"loguniform": [1e-5, 1e-2]}},
            {"name": "sgd", "lr": {"loguniform": [1e-4, 1e-1]}},
        ]
    },
    "training": {"epochs": 4},
}
NODES = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args=dict(
    num_cpus=1, node_ip_address="127.0.0.2", include_dashboard=False))
for number in range(1, int(sys.argv[1])):
    cluster.add_node(num_cpus=1, node_ip_address=f"127.0.0.{number + 2}", include_dashboard=False)
cluster.wait_for_nodes(60)
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


class Seen(NamedTuple):
    """What a driver has used at a time: seconds of CPU, and MiB of resident memory."""

    at: float
    cpu_s: float
    mib: float


class Replayed(Experiment):
    """Replays one real training per process, with scores that depend on the recipe alone."""

    real: tuple[EpochResult, ...] = ()

    def epochs(self, recipe: Recipe, **more: Any) -> Iterator[EpochResult]:
        if not Replayed.real:
            Replayed.real = tuple(super().epochs(recipe, **more))
        shift = int(recipe_hash(recipe)[:6], 16) / 16**6
        for result in Replayed.real:
            yield replace(result, metrics={name: values * shift for name, values in result.metrics.items()})


def drive(store: Path, runs: Path, trials: int, address: str | None) -> int:
    """Search in this process; return the exit code."""
    cloudpickle.register_pickle_by_value(sys.modules["__main__"])
    planning.Experiment = Replayed  # ty: ignore[invalid-assignment]
    settings = SearchSettings(
        trials=trials, runs=runs, name=NAME, folds=3, views=1, address=address, max_concurrent=AT_ONCE
    )
    return search_flow.run(store, Space.parse(SPACE, NAME), settings, Console(width=100), dry_run=False)


def searched(
    store: Path, runs: Path, trials: int, address: str | None = None
) -> tuple[RunFolder, list[Seen]]:
    """Run a search in a process of its own; return its run, and what the driver used over time."""
    command = [sys.executable, __file__, "--drive", store, runs, trials, *([address] if address else [])]
    seen: list[Seen] = []
    driver = psutil.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    while driver.poll() is None:
        time.sleep(0.5)
        try:
            used = driver.cpu_times()
            seen.append(Seen(time.time(), used.user + used.system, driver.memory_info().rss / 2**20))
        except psutil.NoSuchProcess:
            break
    if code := driver.wait():
        raise SystemExit(f"the search of {trials} trials failed with exit code {code}")
    return RunFolder.open(runs / NAME), seen


def ended_at(run: RunFolder) -> list[float]:
    """Return when each trial ended, in order."""
    trials = open_study(run.journal).get_trials(deepcopy=False)
    return sorted(t.datetime_complete.timestamp() for t in trials if is_settled(t) and t.datetime_complete)


def measure_driver(store: Path, folder: Path, trials: int) -> dict[str, Any]:
    """Return what the driver of a long search needs over time."""
    run, seen = searched(store, folder / "long", trials)
    times = ended_at(run)
    edges = [times[round(k * (len(times) - 1) / TENTHS)] for k in range(TENTHS + 1)]
    at = [one.at for one in seen]
    cpu_s = np.interp(edges, at, [one.cpu_s for one in seen])
    mib = np.interp(edges[1:], at, [one.mib for one in seen])
    per_trial = 1e3 * TENTHS / (len(times) - 1)
    start = time.perf_counter()
    settled = recover(run)
    restore_s = time.perf_counter() - start
    return {
        "trials": settled,
        "ms_per_trial_by_tenth": np.round(np.diff(edges) * per_trial, 1).tolist(),
        "driver_cpu_ms_per_trial_by_tenth": np.round(np.diff(cpu_s) * per_trial, 1).tolist(),
        "driver_mib_by_tenth": np.round(mib).tolist(),
        "journal_mib": round(run.journal.stat().st_size / 2**20, 1),
        "restore_s": round(restore_s, 2),
    }


def measure_searcher(journal: Path, trials: int) -> list[float]:
    """Return the CPU milliseconds per trial of the searcher and its journal alone, over each tenth."""
    space = Space.parse(SPACE, NAME)
    rng, spent = np.random.default_rng(0), []
    searcher = StudySearcher(journal, space, partial(make_sampler, "tpe", space=space), lambda _: False)
    for tenth in np.array_split(np.arange(trials), TENTHS):
        begun = time.process_time()
        for name in map(str, tenth):
            searcher.suggest(name)
            results = [{OBJECTIVE: float(rng.random()), "epoch": epoch} for epoch in range(1, 5)]
            for result in results[:-1]:
                searcher.on_trial_result(name, result)
            searcher.on_trial_complete(name, results[-1] | {ENDED: TrialEnd.LAST_EPOCH})
        spent.append(round((time.process_time() - begun) * 1e3 / len(tenth), 1))
    return spent


def measure_raylets(store: Path, folder: Path, raylets: int, trials: int) -> float:
    """Return the milliseconds per trial on a cluster of one-core raylets on this machine."""
    with subprocess.Popen(
        [sys.executable, "-c", NODES, str(raylets)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as nodes:
        assert nodes.stdout is not None
        try:
            run, _ = searched(store, folder / f"on-{raylets}", trials, nodes.stdout.readline().strip())
        finally:
            nodes.communicate("\n", timeout=60)
    times = ended_at(run)
    return round(1e3 * (times[-1] - times[0]) / (len(times) - 1), 1)


class MappedFeatures:
    """Features in a mapped file, the same in every epoch."""

    def __init__(self, features: np.ndarray) -> None:
        self.features = features

    def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
        return (torch.from_numpy(self.features[rows]).float() for rows in chunks)


def measure_heads(file: Path, slices: int) -> dict[str, Any]:
    """Return the time and memory of epochs on a large bank; in a process of its own, whose peak memory is its own."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    bank = np.lib.format.open_memmap(file, "w+", np.float16, (slices, WIDTH))
    for start in range(0, slices, 10_000):
        bank[start : start + 10_000] = rng.standard_normal(
            (len(bank[start : start + 10_000]), WIDTH), np.float32
        )
    bank.flush()
    source = MappedFeatures(np.load(file, mmap_mode="r"))
    labels = (rng.random((slices, len(LABELS))) < 0.1).astype(np.float32)
    folds = folds_of(np.array_split(rng.permutation(slices), FOLDS))
    seconds = {}
    for size in (64, 512):
        recipe = Recipe(model=Model(dropout=0.3), training=Training(epochs=2, batch_size=size))
        heads = make_heads(recipe, WIDTH, range(FOLDS))
        epochs = fit(Network(None, heads), source, labels, folds, recipe, device=torch.device("cpu"))
        begun = time.process_time()
        next(epochs)
        seconds[size] = round(time.process_time() - begun, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"slices": slices, "folds": FOLDS, "epoch_s_by_batch": seconds, "peak_gib": round(peak, 2)}


def driver_ms(driver: dict[str, Any], trials: int) -> float:
    """Return the CPU milliseconds per trial of so many first trials, to the next whole tenth."""
    tenths = driver["driver_cpu_ms_per_trial_by_tenth"]
    return float(np.mean(tenths[: -(-trials * TENTHS // driver["trials"])]))


def simulate(driver_ms: float, epoch_s: float, args: argparse.Namespace) -> list[dict[str, float]]:
    """Return a row per number of GPUs; see the head of this file for what it assumes."""
    bank_s = args.slices * args.views / args.views_per_s
    trial_s, driver_s = epoch_s * args.mean_epochs, args.simulated_trials * driver_ms / 1e3
    rows = []
    for gpus in GPUS:
        slots = min(gpus * TRIALS_PER_GPU, args.simulated_trials)
        training_s = -(-args.simulated_trials // slots) * trial_s
        search_s = max(training_s, driver_s)
        hours = (bank_s / gpus + search_s) / 3600
        rows.append(
            {
                "gpus": gpus,
                "bank_h": round(bank_s / gpus / 3600, 3),
                "search_h": round(search_s / 3600, 3),
                "hours": round(hours, 2),
                "gpu_hours": round(hours * gpus, 1),
                "driver_share": round(driver_s / search_s, 3),
            }
            | ({"usd": round(hours * gpus * args.usd_per_gpu_hour, 2)} if args.usd_per_gpu_hour else {})
        )
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="slice store (default: made-up heads)")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--raylets", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--raylet-trials", type=int, default=100)
    parser.add_argument("--slices", type=int, default=750_000)
    parser.add_argument("--simulated-trials", type=int, default=1_000)
    parser.add_argument("--mean-epochs", type=float, default=4.0)
    parser.add_argument("--views", type=int, default=20, help="views of each slice, of all levels")
    parser.add_argument("--views-per-s", type=float, default=1027.0)
    parser.add_argument("--usd-per-gpu-hour", type=float)
    return parser.parse_args()


def measured(name: str, figures: Any) -> Any:
    """Return the figures, and show them at once: the next ones may take an hour."""
    print(json.dumps({name: figures}), file=sys.stderr)
    return figures


def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="scale-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        store = (args.data or demo_store(Console(stderr=True))).absolute()
        driver = measured("driver", measure_driver(store, folder, args.trials))
        searcher = measured("searcher", measure_searcher(folder / "journal", args.trials))
        raylets = {
            count: measured(f"{count} raylets", measure_raylets(store, folder, count, args.raylet_trials))
            for count in args.raylets
        }
        with get_context("spawn").Pool(1) as pool:
            heads = measured("heads", pool.apply(measure_heads, (folder / "bank.npy", args.slices)))
    simulated = simulate(driver_ms(driver, args.simulated_trials), heads["epoch_s_by_batch"][512], args)
    figures = {
        "driver": driver,
        "searcher_cpu_ms_per_trial_by_tenth": searcher,
        "raylets_ms_per_trial": raylets,
        "heads": heads,
        "simulated": simulated,
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        data, target, count, *cluster = sys.argv[2:]
        sys.exit(drive(Path(data), Path(target), int(count), cluster[0] if cluster else None))
    main()
