"""The engine `onnxruntime`: ONNX Runtime on a CPU, in float32.

See https://onnxruntime.ai/docs/api/python/api_summary.html.
"""

import warnings

import onnxruntime
import torch

from ichtune.bank.engines.traceable import Traceable
from ichtune.models.backbones import Backbone


class OnnxRuntimeEngine:
    """A backbone exported to ONNX, in memory. Implements `Engine`."""

    def __init__(self, backbone: Backbone, images: torch.Tensor, threads: int) -> None:
        """`images` are an example of its inputs."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self._session = onnxruntime.InferenceSession(
            _exported(backbone, images), options, providers=["CPUExecutionProvider"]
        )
        (self._input,) = (entry.name for entry in self._session.get_inputs())

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        (features,) = self._session.run(None, {self._input: images.numpy()})
        return torch.from_numpy(features)


def _exported(backbone: Backbone, images: torch.Tensor) -> bytes:
    """Return an ONNX model for any number of images."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter, about its own parts
        program = torch.onnx.export(
            Traceable(backbone),
            (images[:2],),
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    assert program is not None  # as no file was named
    return program.model_proto.SerializeToString()
