"""The engine `torch`: the backbone itself, on the GPU if there is one."""

import torch

from ichtune.bank.engines.cuda_graph import CudaGraph
from ichtune.models.backbones import Backbone


class TorchEngine:
    """Runs the backbone, with folded batch norms and channels last; on a GPU as a CUDA graph. Implements `Engine`."""

    def __init__(self, backbone: Backbone) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._backbone = backbone.to(self._device)
        self._graph: CudaGraph | None = None

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if self._device.type == "cpu":
            return self._backbone(images)
        images = images.to(self._device)
        if self._graph is None:
            self._graph = CudaGraph(self._backbone, images)
        return self._graph(images)
