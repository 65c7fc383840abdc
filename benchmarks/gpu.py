"""What a GPU makes of each stage of a search, in under five minutes and without data.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu    # the same at small sizes on the CPU, to try the script

Prints JSON, a line for each stage as soon as it is measured:

- `bank`: slices per second of building the feature bank (`bank.py`) in one process with all cores, as a search does on
  a GPU, and in four; the ratio to the engine's bare forward pass on images that are on the GPU already.
- `fine_tuning`: images per second of `fit` on a whole network, and the ratio to a bare loop (`retrain.py`).
- `heads`: trials per minute on banks of 20,000 and 200,000 slices (`many_heads.py`) with 1, 2, 4 and 8 processes on the
  GPU; with 16 recipes batched in one module; and on the CPU, with as many processes as cores, up to 8. `times` is
  relative to one trial at a time on the GPU.
- `heads_with_mps`: the same with several processes and NVIDIA's Multi-Process Service, whose daemon is started for
  these processes alone, in a folder of its own; or why that failed. Without `servers` that it started, no process has
  used it.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks import bank, many_heads, retrain
from ichtune.data.store import SliceStore
from ichtune.models.precision import resolved

DAEMON = "nvidia-cuda-mps-control"
MPS_S = 30
"""How long the daemon may take to answer."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    images: int
    image_size: int
    bank_processes: Sequence[int]
    trained: int
    """Images of a fine-tuning."""
    banks: Sequence[int]
    """Slices of the banks that heads are trained on."""
    processes: Sequence[int]
    together: int
    rounds: int


GPU = Sizes(4096, 224, (1, 4), 2048, (20_000, 200_000), (1, 2, 4, 8), 16, 2)
CPU = Sizes(256, 64, (1, 2), 64, (500, 1_000), (1, 2), 4, 1)


def measure_bank(store: SliceStore, sizes: Sizes, cores: int) -> list[dict[str, object]]:
    """Return the figures of `bank.py` for each number of processes, which share the cores."""
    figures = []
    for processes in sizes.bank_processes:
        given = {
            "slices": sizes.images,
            "size": sizes.image_size,
            "precision": resolved("auto"),
            "processes": processes,
            "threads": max(1, cores // processes),
            "rounds": sizes.rounds,
        }
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        figures.append(bank.measure(bank.arguments_of(words), store))
    return figures


def measure_fine_tuning(store: SliceStore, sizes: Sizes) -> dict[str, dict[str, float]]:
    recipe = retrain.recipe_of("resnet18", sizes.image_size)
    rows = np.random.default_rng(0).permutation(len(store))[: sizes.trained]
    return retrain.measure(store, recipe, rows, {"loop": retrain.loop, "ours": retrain.ours}, sizes.rounds)


def measure_heads(file: Path, sizes: Sizes, device: str, cores: int) -> list[dict[str, Any]]:
    """Return the figures of heads on the device, and beside them on the CPU."""
    rows = many_heads.measure(file, sizes.banks, sizes.processes, [1], device)
    rows += many_heads.measure(file, sizes.banks, [1], [sizes.together], device)
    if device == "cuda":
        rows += many_heads.measure(file, sizes.banks, [min(cores, max(sizes.processes))], [1], "cpu")
    return many_heads.relative(rows)


def measure_with_mps(file: Path, sizes: Sizes, before: Sequence[dict[str, Any]]) -> object:
    """Return the figures of several processes with MPS, relative to those before; or why there are none."""
    several = [count for count in sizes.processes if count > 1]
    try:
        with mps() as ask:
            rows = many_heads.measure(file, sizes.banks, several, [1], "cuda")
            servers = ask("get_server_list").split()
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        return f"not measured: {str(error).partition(chr(10))[0]}"
    return {"servers": servers, "rows": many_heads.relative([*before, *rows])[len(before) :]}


@contextmanager
def mps() -> Generator[Callable[[str], str]]:
    """Let processes that are started meanwhile use MPS; yields what asks its daemon something.

    It needs no rights and changes no setting of the GPU: other processes know nothing of the daemon's folder.
    """

    def ask(command: str) -> str:
        return subprocess.run([DAEMON], input=command, capture_output=True, **limits).stdout.strip()

    limits: dict[str, Any] = {"text": True, "timeout": MPS_S, "check": True}
    with tempfile.TemporaryDirectory(prefix="mps-") as folder:
        places = dict.fromkeys(("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"), folder)
        with patch.dict(os.environ, places):
            # It stays, so it must not hold a pipe whose end would be waited for.
            subprocess.run([DAEMON, "-d"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **limits)
            try:
                yield ask
            finally:
                ask("quit -t 5")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    device = parser.parse_args(words).device
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # for the processes to come, too
    elif not torch.cuda.is_available():
        print("no GPU here, so nothing was measured; --device cpu tries the script at small sizes")
        return
    sizes, cores = (GPU if device == "cuda" else CPU), len(os.sched_getaffinity(0))
    gpu = torch.cuda.get_device_name() if device == "cuda" else None
    show("machine", {"gpu": gpu, "cpu": many_heads.processor(), "torch": torch.__version__})
    with tempfile.TemporaryDirectory() as folder:
        store = bank.make_store(Path(folder), sizes.images)
        show("bank", measure_bank(store, sizes, cores))
        show("fine_tuning", measure_fine_tuning(store, sizes))
        file = Path(folder) / "features.npy"
        many_heads.make_bank(file, max(sizes.banks))
        heads = measure_heads(file, sizes, device, cores)
        show("heads", heads)
        if device == "cuda":
            show("heads_with_mps", measure_with_mps(file, sizes, heads))


def show(stage: str, figures: object) -> None:
    """Print the figures of a stage at once: the next may take minutes."""
    print(json.dumps({stage: figures}), flush=True)


if __name__ == "__main__":
    main()
