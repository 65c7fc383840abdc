"""The engine `openvino`: OpenVINO on a CPU, with the bfloat16 of CPUs that have it.

See https://docs.openvino.ai/2026/openvino-workflow/running-inference.html.
"""

import functools
import sys
import warnings
from typing import Any, Final

import torch

from ichtune.bank.engines.protocol import EngineError
from ichtune.bank.engines.traceable import Traceable
from ichtune.models.backbones import Backbone
from ichtune.recipe import Precision

_NAMES: Final[dict[Precision, str]] = {"bfloat16": "bf16", "float32": "f32"}
_TELEMETRY: Final = "openvino_telemetry"


class OpenVinoEngine:
    """A backbone converted by OpenVINO and compiled for this CPU. Implements `Engine`."""

    def __init__(self, backbone: Backbone, images: torch.Tensor, threads: int) -> None:
        """`images` are an example of its inputs.

        Raises:
            EngineError: this CPU can't compute in the backbone's precision.
        """
        openvino = _openvino()
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of tracing, which is right for images of one size
            model = openvino.convert_model(Traceable(backbone), example_input=images[:2])
        model.reshape([-1, *images.shape[1:]])
        options = {
            "INFERENCE_PRECISION_HINT": _NAMES[backbone.precision],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # or all processes with one thread share the first core
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", options)
        used = self._compiled.get_property("INFERENCE_PRECISION_HINT")
        if used != getattr(openvino.Type, _NAMES[backbone.precision]):
            raise EngineError(f"it computes in {used} on this CPU, not in {backbone.precision}")

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._compiled(images.numpy())[0])


@functools.cache
def _openvino() -> Any:
    """Return OpenVINO without its telemetry, which would report every import and conversion to its makers."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault(_TELEMETRY, None)  # ty: ignore[no-matching-overload]
    import openvino

    return openvino
