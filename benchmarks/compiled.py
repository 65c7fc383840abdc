"""Whether compiling a network pays off within a training: `torch.compile` beside eager mode, forward and backward.

    python benchmarks/compiled.py [--backbones resnet18 efficientnet_lite0] [--size 224] [--batches 6]

Needs a C++ compiler on a CPU, and no data. Prints JSON: images per second of both ways (they take turns; the median),
their ratio, the seconds that compiling took, and after how many images that is won back (none if it never is).
A training has two such compilations, as its last batch is smaller, and validation another.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from statistics import median

import torch

from ichtune.models.backbones import build_backbone
from ichtune.recipe import Model

BATCH = 32
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seconds(network: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> float:
    """Return how long a forward and a backward pass take."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    begun = time.perf_counter()
    network(images).square().mean().backward()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def measure(name: str, size: int, batches: int) -> dict[str, object]:
    model = Model(backbone=name, weights="random", size=size, train="all")
    backbone = build_backbone(model, seed=0).train().to(DEVICE)
    images = torch.rand(BATCH, 1, size, size, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    seconds(backbone, images)
    compiled = torch.compile(backbone)
    first = seconds(compiled, images)
    turns = [(seconds(backbone, images), seconds(compiled, images)) for _ in range(batches)]
    eager, faster = (median(times) for times in zip(*turns, strict=True))
    won = eager - faster
    return {
        "network": name,
        "size": size,
        "precision": backbone.precision,
        "eager_per_s": round(BATCH / eager, 1),
        "compiled_per_s": round(BATCH / faster, 1),
        "ratio": round(eager / faster, 2),
        "compiling_s": round(first - faster, 1),
        "won_back_after_images": round((first - faster) / won * BATCH) if won > 0 else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=["resnet18", "efficientnet_lite0"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batches", type=int, default=6)
    arguments = parser.parse_args()
    where = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"{os.cpu_count()} cores, no GPU"
    print(json.dumps({"machine": where, "torch": torch.__version__}), flush=True)
    for name in arguments.backbones:
        print(json.dumps(measure(name, arguments.size, arguments.batches)), flush=True)


if __name__ == "__main__":
    main()
