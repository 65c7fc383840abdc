"""A search under attack: does it end with exactly the requested trials and the right numbers?

    python benchmarks/soak.py [--data STORE] [--trials 500] [--every 20] [--seed 0]

Every few seconds something bad happens, in turn: a trial's process is killed, the driver is killed (and the run
resumed), a trial's process again, and, if this process may mount one, the run's small disk is filled (and emptied
again). Meanwhile one recipe in eight raises an exception on its first attempt, and one in ten has a learning rate that
makes it diverge; the first two recipes are one of each.

Prints JSON: how often each thing happened, and the outcome. `trials` and `distinct` must be the requested number and
`running` 0; `wrong` counts trials with an epoch whose score differs from that of the same recipe trained alone,
undisturbed and without Ray. `driver_mib` is the driver's resident memory at each quarter of its longest life. Exits
with 1 if anything is wrong. Without --data the slices are made-up heads.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from optuna.trial import TrialState
from ray import cloudpickle
from rich.console import Console

import ichtune.search.plan as planning
from ichtune.commands import search_flow
from ichtune.data.phantom.demo import demo_store
from ichtune.recipe import Recipe, recipe_hash
from ichtune.runs.folder import RunFolder, TrialRecord
from ichtune.runs.settings import SearchSettings
from ichtune.runs.study import open_study, settled_trials, trial_ends
from ichtune.search.plan import plan
from ichtune.space import Space
from ichtune.training.experiment import Experiment
from ichtune.training.results import EpochResult
from ichtune.training.session import TrainingSession

NAME, DISK_MIB, BALLAST = "soak", 256, "ballast"
SPACE = {
    "name": NAME,
    "model": {"backbone": "resnet18", "weights": "random", "size": 64, "dropout": {"uniform": [0.0, 0.6]}},
    "optimizer": {
        "choice": [
            *[{"name": "adam", "lr": {"loguniform": [low, 10 * low]}} for low in (1e-5, 1e-4, 1e-3)],
            *[{"name": "sgd", "lr": {"loguniform": [low, 10 * low]}} for low in (1e-4, 1e-3, 1e-2)],
            *[{"name": "rmsprop", "lr": {"loguniform": [low, 10 * low]}} for low in (1e-5, 1e-4, 1e-3)],
            {"name": "sgd", "lr": {"loguniform": [1e37, 1e38]}},
        ]
    },
    "augmentation": {"choice": ["normal", "moderate"]},
    "training": {"epochs": 6},
    "points": {
        "shaky": {"model": {"dropout": 0.0}},
        "diverging": {"model": {"dropout": 0.3}, "optimizer": {"name": "sgd", "lr": 5e37}},
    },
}
SHAKY = 0.6 / 8
"""A dropout below this makes a recipe raise an exception: one in eight of the space, and its point."""
SETTINGS = {"folds": 3, "views": 2, "sampler": "random", "max_concurrent": 2, "name": NAME}


PACE_S = 0.25
"""Minimum seconds per epoch, so that attacks hit running trials even if heads train very fast."""


class Shaky(Experiment):
    """Raises an exception on the first attempt of one recipe in eight."""

    def epochs(self, recipe: Recipe, **more: Any) -> Iterator[EpochResult]:
        mark = Path(self.store).parent / "shaken" / recipe_hash(recipe)
        for result in super().epochs(recipe, **more):
            time.sleep(PACE_S)
            if recipe.model.dropout < SHAKY and result.epoch == 2 and not mark.exists():
                mark.touch()
                raise RuntimeError("shaken, once")
            yield result


def drive(store: Path, runs: Path, trials: int) -> int:
    """Start or resume the search in this process; return the exit code."""
    cloudpickle.register_pickle_by_value(sys.modules["__main__"])
    planning.Experiment = Shaky  # ty: ignore[invalid-assignment]
    console = Console(width=100)
    if (runs / NAME / "search.yaml").exists():
        return search_flow.resume(runs, NAME, {}, console, data=None, space=None, changes={}, dry_run=False)
    settings = SearchSettings(trials=trials, runs=runs, **SETTINGS)  # ty: ignore[invalid-argument-type]
    return search_flow.run(store, Space.parse(SPACE, NAME), settings, console, dry_run=False)


class Attack:
    """Restarts the driver until the search is done, and attacks it meanwhile."""

    def __init__(self, store: Path, runs: Path, trials: int, every: float, seed: int, disk: bool) -> None:
        self.command = [sys.executable, __file__, "--drive", store, runs, trials]
        self.runs, self.every = runs, every
        self.rng = random.Random(seed)
        self.kinds = cycle(["process killed", "driver killed", "process killed", *["disk full"] * disk])
        self.done: Counter[str] = Counter()
        self.lives: list[list[float]] = []

    def run(self) -> int:
        """Return the exit code of the driver that finished the search."""
        while True:
            (self.runs / BALLAST).unlink(missing_ok=True)
            driver = psutil.Popen([str(word) for word in self.command], stdout=subprocess.DEVNULL)
            self.lives.append([])
            harmed = self._harm(driver)
            code = driver.wait()
            if not harmed:
                return code

    def _harm(self, driver: psutil.Popen) -> bool:
        """Attack the driver's search until it ends; return whether the attack ended it."""
        before, kind, due = self._begun(), next(self.kinds), float("inf")
        while driver.poll() is None:
            time.sleep(0.5)
            with suppress(psutil.NoSuchProcess):
                rss = driver.memory_info().rss
                self.lives[-1] += [rss / 2**20] if rss else []  # a process that has ended has none
            if due == float("inf") and self._begun() > before:
                due = self._next()  # it has made progress
            if time.monotonic() < due or not self._strike(kind, driver):
                continue
            self.done[kind] += 1
            if kind != "process killed":
                return True
            kind, due = next(self.kinds), self._next()
        return False

    def _next(self) -> float:
        return time.monotonic() + self.every * self.rng.uniform(0.5, 1.5)

    def _strike(self, kind: str, driver: psutil.Popen) -> bool:
        """Attack once; return whether it hit anything, since there may be no trial in training right now."""
        if kind == "process killed":
            return self._kill_a_trial(driver)
        if kind == "driver killed":
            driver.kill()
        else:
            self._fill()
        return True

    def _begun(self) -> int:
        return len(list((self.runs / NAME / "trials").glob("*/trial.json")))

    def _kill_a_trial(self, driver: psutil.Popen) -> bool:
        with suppress(psutil.NoSuchProcess):
            family = driver.children(recursive=True)
            training = [p for p in family if "train" in " ".join(p.cmdline()).partition("ray::")[2]]
            if training:
                self.rng.choice(training).kill()
                return True
        return False

    def _fill(self) -> None:
        with suppress(OSError), open(self.runs / BALLAST, "wb", buffering=0) as file:
            while True:
                file.write(bytes(2**20))


def scores_alone(experiment: Experiment, recipe: Recipe) -> list[float]:
    """Return a recipe's AUC after each epoch, without Ray."""
    session = TrainingSession("auc", epochs=recipe.training.epochs, patience=None)
    results = experiment.epochs(recipe, device=torch.device("cpu"), threads=1)
    return [epoch.record.mean["auc"] for epoch in session.run(results)]


def count_wrong(run: RunFolder, records: list[TrialRecord]) -> int:
    """Return how many trials have an epoch whose score differs from that of their recipe trained alone."""
    request = run.request
    planned = plan(request.data, request.space, replace(request.settings, name="alone", runs=run.path))
    experiment = planned.experiment
    torch.set_num_threads(1)
    wrong = 0
    for record in records:
        got = [epoch.mean["auc"] for epoch in record.epochs]
        alone = scores_alone(experiment, record.recipe)[: len(got)]
        wrong += len(alone) < len(got) or not np.allclose(got, alone, rtol=0, atol=1e-9, equal_nan=True)
    return wrong


@contextmanager
def small_disk(folder: Path) -> Generator[bool]:
    """Mount a separate disk at the folder, if this process may; yield whether it did."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


def soak(data: Path, trials: int, every: float, seed: int) -> dict[str, Any]:
    """Return the figures of a search under attack."""
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        store, runs = folder / "store", folder / "runs"
        for path in (store, runs, folder / "shaken"):
            path.mkdir()
        for file in data.iterdir():
            if file.is_file():
                shutil.copy(file, store)
        with small_disk(runs) as disk:
            begun = time.perf_counter()
            attack = Attack(store, runs, trials, every, seed, disk)
            code = attack.run()
            run = RunFolder.open(runs / NAME)
            records = list(run.trial_records())
            states = Counter(trial.state for trial in open_study(run.journal).trials)
            longest = max(attack.lives, key=len)
            return {
                "asked": trials,
                "exit_code": code,
                "trials": settled_trials(run),
                "folders": len(records),
                "distinct": len({record.recipe_hash for record in records}),
                "running": states[TrialState.RUNNING],
                "wrong": count_wrong(run, records),
                "ends": dict(Counter(trial_ends(run).values())),
                "exceptions": len(list((folder / "shaken").iterdir())),
                "harm": dict(attack.done) | ({} if disk else {"disk full": "no right to mount a disk"}),
                "lives_of_the_driver": len(attack.lives),
                "driver_mib": [round(longest[len(longest) * k // 4 - (k == 4)]) for k in range(1, 5)],
                "seconds": round(time.perf_counter() - begun),
            }


def is_sound(figures: dict[str, Any]) -> bool:
    """Whether a search survived intact."""
    counts = {figures[name] for name in ("trials", "folders", "distinct")}
    unharmed = figures["running"] == figures["wrong"] == figures["exit_code"] == 0
    return counts == {figures["asked"]} and unharmed and "failed" not in figures["ends"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="slice store (default: made-up heads)")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--every", type=float, default=20.0, help="seconds between two attacks, on average")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drive", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drive:
        store, runs, trials = arguments.drive
        sys.exit(drive(Path(store), Path(runs), int(trials)))
    data = (arguments.data or demo_store(Console(stderr=True))).absolute()
    figures = soak(data, arguments.trials, arguments.every, arguments.seed)
    print(json.dumps(figures, indent=2))
    sys.exit(not is_sound(figures))


if __name__ == "__main__":
    main()
