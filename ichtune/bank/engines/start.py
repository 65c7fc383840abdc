"""Starting an engine: it is imported, made ready for one backbone, and checked against torch."""

from collections.abc import Callable, Mapping
from typing import Final

import torch

from ichtune.bank.engines.agreement import check_agreement
from ichtune.bank.engines.kinds import TORCH, require
from ichtune.bank.engines.protocol import Engine, EngineError
from ichtune.models.backbones import Backbone

Starter = Callable[[Backbone, torch.Tensor, int], Engine]


def start(name: str, backbone: Backbone, images: torch.Tensor, *, network: str, threads: int) -> Engine:
    """Return an engine for a backbone in evaluation mode, after checking its features of some images against torch's.

    `network` is the backbone's name in messages. `images` are float32 `[n, C, S, S]`, at least two. Sets torch's number
    of threads in this process.

    Raises:
        InputError: the engine isn't installed.
        EngineError: it can't compute this network or in its precision, or its features differ from torch's.
    """
    require(name)
    torch.set_num_threads(threads)
    if name == TORCH:
        return STARTERS[name](backbone, images, threads)
    try:
        # Converted on other images than it is compared on: what tracing froze into constants then shows.
        engine = STARTERS[name](backbone, 1 - images, threads)
        check_agreement(engine, backbone, images)
    except EngineError as error:
        raise _refusal(name, network, str(error)) from error
    except Exception as error:  # of converters and runtimes, which differ by library and version
        raise _refusal(name, network, (str(error).strip() or repr(error)).splitlines()[0]) from error
    return engine


def _refusal(name: str, network: str, why: str) -> EngineError:
    return EngineError(f"--engine: {name} can't compute {network} here ({why}); use --engine {TORCH}")


def _torch(backbone: Backbone, images: torch.Tensor, threads: int) -> Engine:
    from ichtune.bank.engines.torch_engine import TorchEngine

    return TorchEngine(backbone)


def _openvino(backbone: Backbone, images: torch.Tensor, threads: int) -> Engine:
    from ichtune.bank.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(backbone, images, threads)


def _onnxruntime(backbone: Backbone, images: torch.Tensor, threads: int) -> Engine:
    from ichtune.bank.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(backbone, images, threads)


STARTERS: Final[Mapping[str, Starter]] = {
    TORCH: _torch,
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
}
"""By the names in `ENGINES`."""
