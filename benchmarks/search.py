"""Speed of a search, compared with the way of tutorials, on the same data in one run.

    python benchmarks/search.py [--data STORE] [--trials 30 100 200] [--epochs 10] [--tutorial-epochs 4] [--launch]

Prints JSON. Both ways train the head of a frozen resnet18 with random weights at 224, with normal and moderate
augmentation, two trials at a time on two cores without a GPU, and every trial to its last epoch (ASHA's grace covers
all of them).

- `search`: for each number of trials, a whole `launch.py` on a store without a bank, every trial on all folds.
  Its wall time, including imports and ranking, over the epochs of its trials and folds; and its stages:
  `first_result` is from the end of the bank to the end of the first epoch, `head_training` is the time of the same
  recipes with `fit` alone in two processes, and `ray_and_records` is everything else while trials run: Ray, Optuna,
  files, later imports, and the CPU time that these take from the heads. The last, divided by the trials, is
  `beyond_head_ms_per_trial`.
- `tutorial`: what `tutorial_way.py` reports for a few epochs. Its seconds per epoch exclude start-up and the first
  epochs, in its favour.
- `times_faster`: the time of an epoch of one trial and fold in the tutorials' way over that in the search; with their
  fastest setup, and in plain float32 as published.
- `auc`: of the baseline recipe after the tutorials' last epoch, on the same fold both ways, and its deviation over
  folds.
- `launch`, if requested: a bare `python launch.py` with an empty cache.

Without --data the slices are made-up heads. A full run takes about twelve minutes on two idle cores.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import torch
from rich.console import Console

from ichtune.data.phantom.demo import demo_store
from ichtune.data.store import SliceStore
from ichtune.recipe import Recipe
from ichtune.runs.folder import RunFolder, TrialRecord
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.training.experiment import Experiment

AT_ONCE, FOLD = 2, 0
SPACE, SIZE = "quick", 224
LAUNCH = Path(__file__).resolve().parents[1] / "launch.py"
TUTORIAL = Path(__file__).resolve().with_name("tutorial_way.py")
# Make Ray see two cores, and hide GPUs from everything.
TWO_CORES = {"RAY_OVERRIDE_RESOURCES": json.dumps({"CPU": AT_ONCE}), "CUDA_VISIBLE_DEVICES": ""}
MEMORY_EVERY_S = 0.5
HEAD_SAMPLE = 40
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Measured:
    """A program's cost and its output."""

    seconds: float
    peak_mib: float
    """Peak resident memory of all its processes together; shared memory counts in each."""
    output: str


def run_program(command: Sequence[str | Path | int], folder: Path, **environment: str) -> Measured:
    """Run a Python program in a folder until it ends.

    Raises:
        SystemExit: it failed; the message ends with the end of its stderr.
    """
    print("running", *command, file=sys.stderr)
    output, errors = folder / "stdout.log", folder / "stderr.log"
    with open(output, "w") as out, open(errors, "w") as err:
        begun, peak = time.perf_counter(), 0.0
        process = psutil.Popen(
            [sys.executable, *map(str, command)],
            cwd=folder,
            # The shell's environment: what `ichtune.search` sets in this process is not for the tutorials' way.
            env=psutil.Process().environ() | TWO_CORES | environment,
            stdout=out,
            stderr=err,
        )
        while process.poll() is None:
            peak = max(peak, sum(map(resident_mib, (process, *process.children(recursive=True)))))
            with suppress(psutil.TimeoutExpired):
                process.wait(MEMORY_EVERY_S)
        seconds = time.perf_counter() - begun
    if process.returncode:
        sys.exit(f"{command[0]}: exit code {process.returncode}\n{errors.read_text()[-3000:]}")
    return Measured(seconds, peak, output.read_text())


def resident_mib(process: psutil.Process) -> float:
    try:
        return process.memory_info().rss / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def without_bank(data: Path, copy: Path) -> Path:
    """Return a copy of the store without features."""
    copy.mkdir()
    for file in data.iterdir():
        if file.is_file():
            shutil.copy(file, copy)
    return copy


def measure_search(data: Path, trials: int, epochs: int, compared: int, folder: Path) -> dict[str, Any]:
    """Return the figures of a whole search."""
    store, folds = without_bank(data, folder / f"store-{trials}"), SliceStore.open(data).info.folds
    command = [LAUNCH, "--data", store, "--space", SPACE, "--set", f"model.size={SIZE}", "--folds", folds]
    command += ["--trials", trials, "--max-epochs", epochs, "--grace", epochs, "--max-concurrent", AT_ONCE]
    measured = run_program([*command, "--name", trials, "--runs", folder], folder)

    run = RunFolder.open(folder / str(trials))
    records = list(run.trial_records())
    done = sum(len(record.epochs) for record in records)
    times = json.loads((run.path / "times.json").read_text())
    first_result = seconds_to_first_result(run, records, times["bank_s"])
    head = head_seconds(run, records)
    beyond = times["trials_s"] - first_result - head
    return {
        "trials": len(records),
        "epochs": done,
        "folds": folds,
        "s_per_trial_epoch_fold": measured.seconds / (done * folds),
        "wall_s": measured.seconds,
        "parts_s": {
            "imports_and_ranking": measured.seconds - sum(times.values()),
            "ray_start": times["start_s"],
            "bank": times["bank_s"],
            "first_result": first_result,
            "head_training": head,
            "ray_and_records": beyond,
        },
        "beyond_head_ms_per_trial": 1e3 * beyond / len(records),
        "peak_mib": measured.peak_mib,
        "baseline": baseline_auc(records, compared),
    }


def seconds_to_first_result(run: RunFolder, records: Iterable[TrialRecord], bank_s: float) -> float:
    """Return the time from the end of the bank to that of the first epoch, in which actors start and import."""
    begun = (run.path / "search.yaml").stat().st_mtime + bank_s
    ends = ((r.folder / "trial.json").stat().st_mtime + r.epochs[0].seconds for r in records)
    return min(ends) - begun


def head_seconds(run: RunFolder, records: Sequence[TrialRecord]) -> float:
    """Return the wall time of the trials' recipes with `fit` alone in two processes, without Ray or records.

    For many trials, a sample is timed and scaled.
    """
    request, settings = run.request, SearchSettings(name="alone", runs=run.path)
    planned = plan(request.data, request.space, settings)
    experiment = planned.experiment
    sample = records[:: max(1, len(records) // HEAD_SAMPLE)]
    recipes = [record.recipe for record in sample]
    with ProcessPoolExecutor(AT_ONCE, get_context("spawn")) as pool:
        shares = [pool.submit(train_heads, experiment, recipes[first::AT_ONCE]) for first in range(AT_ONCE)]
        return sum(share.result() for share in shares) / AT_ONCE * len(records) / len(sample)


def train_heads(experiment: Experiment, recipes: Sequence[Recipe]) -> float:
    """Return the seconds to train recipes one by one on one thread, excluding imports and first file access."""
    torch.set_num_threads(1)
    for recipe in recipes:
        next(experiment.epochs(recipe, device=CPU, threads=1))
    begun = time.perf_counter()
    for recipe in recipes:
        deque(experiment.epochs(recipe, device=CPU, threads=1), maxlen=0)
    return time.perf_counter() - begun


def baseline_auc(records: Iterable[TrialRecord], epoch: int) -> dict[str, float]:
    """Return the baseline's AUC after an epoch: on the fold that the tutorials' way trains, and over folds."""
    last = next(record.epochs[epoch - 1] for record in records if record.point == "baseline")
    return {"fold": last.folds["auc"][FOLD], "mean": last.mean["auc"], "deviation": last.std["auc"]}


def measure_tutorial(data: Path, epochs: int, folder: Path) -> dict[str, Any]:
    """Return the figures of `tutorial_way.py` on the same slices."""
    return json.loads(run_program([TUTORIAL, data, "--fold", FOLD, "--epochs", epochs], folder).output)


def measure_launch(folder: Path) -> dict[str, float]:
    """Return the time of a new user's first command, including making up heads."""
    measured = run_program([LAUNCH], folder, XDG_CACHE_HOME=str(folder / "cache"))
    return {"wall_s": measured.seconds, "peak_mib": measured.peak_mib}


def compare(searches: dict[str, dict[str, Any]], tutorial: dict[str, Any]) -> dict[str, Any]:
    """Return how many times faster the searches are, and whether the baseline is as good."""
    baseline = next(iter(searches.values()))["baseline"]
    auc = tutorial["baseline_auc"][-1]
    return {
        "times_faster": {
            trials: {
                "than_fastest_setup": tutorial["s_per_epoch"] / figures["s_per_trial_epoch_fold"],
                "than_float32": tutorial["s_per_epoch_float32"] / figures["s_per_trial_epoch_fold"],
            }
            for trials, figures in searches.items()
        },
        "auc": {
            "fold": FOLD,
            "search": baseline["fold"],
            "tutorial": auc,
            "deviation_over_folds": baseline["deviation"],
            "no_worse": baseline["fold"] >= auc - baseline["deviation"],
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="slice store (default: made-up heads)")
    parser.add_argument("--trials", type=int, nargs="+", default=[30, 100, 200])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--tutorial-epochs", type=int, default=4, help="epochs of the slow way, which are scaled"
    )
    parser.add_argument("--launch", action="store_true", help="measure a bare `python launch.py` too")
    arguments = parser.parse_args()
    data = (arguments.data or demo_store(Console(stderr=True))).absolute()
    store, slow = SliceStore.open(data), min(arguments.tutorial_epochs, arguments.epochs)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        searches = {str(n): measure_search(data, n, arguments.epochs, slow, folder) for n in arguments.trials}
        tutorial = measure_tutorial(data, slow, folder)
        figures = {
            "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__},
            "data": {"slices": len(store), "searched": len(store.train), "fingerprint": store.fingerprint},
            "search": searches,
            "tutorial": tutorial,
            **compare(searches, tutorial),
            **({"launch": measure_launch(folder)} if arguments.launch else {}),
        }
    print(json.dumps(rounded(figures), indent=2))


def rounded(value: Any) -> Any:
    """Return the same figures rounded to four digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
