"""A backbone with the heads of F folds on top, and which of its parameters are trained."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ichtune.models.heads import Heads, Sizes
from ichtune.recipe import Trained

if TYPE_CHECKING:
    from ichtune.models.backbones import Backbone  # heads on features don't need torchvision


class Network(nn.Module):
    """A backbone, or none if the inputs already are features, with the heads of F folds on top.

    The backbone maps `[n, C, H, W]` to `[n, D]`. Its parameters that require gradients on construction are
    trained, until `set_trained` changes that. A frozen backbone stays in evaluation mode and without gradients,
    whatever mode is set.

    Its state holds everything that was trained at any time, so construct it with the most that a training trains.
    """

    def __init__(self, backbone: nn.Module | None, heads: Heads) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = heads
        self.trained_backbone = _trained(backbone)
        """The trained parameters of the backbone."""
        self._changing = self._trained_names()
        """The names of all that is, or was, trained."""

    def set_trained(self, train: Trained) -> None:
        """Set which part of the backbone is trained; a running training follows from its next epoch on.

        Raises:
            ValueError: there is no backbone.
        """
        if self.backbone is None:
            if train != "frozen":
                raise ValueError(f"heads on features have no backbone to train: got {train}")
            return
        cast("Backbone", self.backbone).set_trained(train)
        self.trained_backbone = _trained(self.backbone)
        self._changing = list(dict.fromkeys((*self._changing, *self._trained_names())))
        self.train(self.training)

    def forward(
        self,
        inputs: torch.Tensor,
        dropout: torch.Tensor | None = None,
        sizes: Sequence[Sizes] | None = None,
    ) -> torch.Tensor:
        """Return logits `[F, B, 6]` for inputs `[F * B, ...]`; `dropout` `[F, B, D]` multiplies the features.

        `sizes` are the numbers of slices of each fold's scans; see `Heads.forward`.
        """
        features = self.features(inputs).unflatten(0, (len(self.heads), -1))
        return self.heads(features, dropout, sizes)

    def features(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return features `[n, D]` (float32) for inputs `[n, ...]`."""
        if self.backbone is None:
            return inputs
        with torch.set_grad_enabled(torch.is_grad_enabled() and bool(self.trained_backbone)):
            return self.backbone(inputs).float()

    @contextmanager
    def exact(self) -> Generator[None]:
        """Compute features in float32, if the backbone is or was trained; a frozen one agrees with its bank."""
        if self.backbone is None or not any(name.startswith("backbone.") for name in self._changing):
            yield
            return
        backbone = cast("Backbone", self.backbone)
        trained_in, backbone.precision = backbone.precision, "float32"
        try:
            yield
        finally:
            backbone.precision = trained_in

    def train(self, mode: bool = True) -> "Network":
        super().train(mode)
        if self.backbone is not None and not self.trained_backbone:
            self.backbone.eval()
        return self

    def trained_parameters(self, head: int) -> list[nn.Parameter]:
        """Return the parameters that the optimizer of a head's fold trains."""
        return [*self.heads.parameters_of(head), *self.trained_backbone]

    def distances(self) -> dict[nn.Parameter, int]:
        """Return how many stages each trained parameter of the backbone is away from the head, at least 1."""
        if not self.trained_backbone:
            return {}
        every = cast("Backbone", self.backbone).distances()
        return {parameter: every[parameter] for parameter in self.trained_backbone}

    @property
    def trains_batch_norm(self) -> bool:
        """Whether the backbone has batch normalisation that is now trained on the statistics of batches."""
        modules = [] if self.backbone is None else self.backbone.modules()
        return any(isinstance(module, _BatchNorm) and module.training for module in modules)

    @property
    def trained_statistics(self) -> list[torch.Tensor]:
        """The statistics that a trained backbone computes in training, such as those of batch normalisation."""
        if self.backbone is None or not self.trained_backbone:
            return []
        return [buffer for buffer in self.backbone.buffers() if buffer.is_floating_point()]

    def gradient_norms(self) -> torch.Tensor:
        """Return the norm of each fold's gradient `[F]`, including that of a trained backbone."""
        norms = self.heads.gradient_norms()
        gradients = [p.grad for p in self.trained_backbone if p.grad is not None]
        return torch.hypot(norms, nn.utils.get_total_norm(gradients)) if gradients else norms

    def trained_state(self) -> dict[str, torch.Tensor]:
        """Return copies of all that training changes: trained parameters, what features are normalised by, and a
        trained backbone's statistics."""
        own = self.state_dict()
        return {name: own[name].clone() for name in self._changing}

    def _trained_names(self) -> list[str]:
        """Return the names of the trained parameters, the heads' statistics and those of a trained backbone."""
        kept = self.state_dict().keys()
        trained = [name for name, parameter in self.named_parameters() if parameter.requires_grad]
        buffers = [name for name, _ in self.named_buffers() if name in kept]
        return trained + [name for name in buffers if self.trained_backbone or name.startswith("heads.")]

    @torch.no_grad()
    def load_trained_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore a state from `trained_state`.

        Raises:
            ValueError: the state belongs to a network with other trained parameters.
        """
        own = self.state_dict()
        if state.keys() != self.trained_state().keys():
            differ = sorted(state.keys() ^ self.trained_state().keys())
            raise ValueError(
                f"the state belongs to a network with other trained parameters; they differ in {differ}"
            )
        for name, tensor in state.items():
            own[name].copy_(tensor)


def _trained(backbone: nn.Module | None) -> list[nn.Parameter]:
    return [] if backbone is None else [p for p in backbone.parameters() if p.requires_grad]
