"""What a CUDA graph saves: images per second of a backbone with its kernels recorded, and launched one at a time.

    python benchmarks/graphs.py [--seconds 2]

Needs a GPU and no data. Prints JSON, a line for each network, precision and batch: both rates, on images that are on
the GPU already, their ratio (the two take turns), and the largest difference of their features relative to the norm. 32
is the batch of the feature bank. The weights are random, which doesn't affect the time.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch

from ichtune.bank.engines.agreement import difference
from ichtune.bank.engines.cuda_graph import CudaGraph
from ichtune.models.backbones import build_backbone
from ichtune.recipe import Model, Precision

NETWORKS = ("resnet18", "efficientnet_lite0", "timm/convnext_atto", "timm/vit_tiny_patch16_224")
PRECISIONS: tuple[Precision, ...] = ("bfloat16", "float32")
BATCHES = (32, 64, 256)
SIZE, TURNS = 224, 2


def rate(compute: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, seconds: float) -> float:
    """Return images per second, after a warm-up."""
    compute(images)
    torch.cuda.synchronize()
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        compute(images)
        torch.cuda.synchronize()
        count += len(images)
    return count / (time.perf_counter() - begun)


@torch.no_grad()
def measure(name: str, precision: Precision, batch: int, seconds: float) -> dict[str, object]:
    model = Model(backbone=name, weights="random", size=SIZE)
    backbone = build_backbone(model, seed=0, precision=precision).eval().cuda()
    images = torch.rand(batch, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).cuda()
    graph = CudaGraph(backbone, images)
    turns = [
        (rate(backbone, images, seconds / TURNS), rate(graph, images, seconds / TURNS)) for _ in range(TURNS)
    ]
    direct, replayed = (max(rates) for rates in zip(*turns, strict=True))
    return {
        "network": name,
        "precision": precision,
        "batch": batch,
        "recorded": graph.replays,
        "direct_per_s": round(direct),
        "graph_per_s": round(replayed),
        "ratio": round(replayed / direct, 2),
        "difference": difference(graph(images), backbone(images)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("needs a GPU")
    print(json.dumps({"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}), flush=True)
    for name in NETWORKS:
        for precision in PRECISIONS:
            for batch in BATCHES:
                print(json.dumps(measure(name, precision, batch, arguments.seconds)), flush=True)


if __name__ == "__main__":
    main()
