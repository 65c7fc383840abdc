"""A backbone under the heads of F folds, and what of it is trained."""

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from ichtune.models.heads import Heads
from ichtune.recipe import Trained

if TYPE_CHECKING:
    from ichtune.models.backbones import Backbone  # heads on features do without torchvision


class Network(nn.Module):
    """A backbone, or none where the inputs are features already, under the heads of F folds.

    The backbone takes `[n, C, H, W]` to `[n, D]`. It is trained as far as its parameters require gradients when
    it is handed in, and as `set_trained` says from then on. While it is frozen it stays in evaluation mode and
    without gradient whatever mode is set.
    """

    def __init__(self, backbone: nn.Module | None, heads: Heads) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = heads
        self.trained_backbone = _trained(backbone)
        """The backbone's parameters that are trained."""

    def set_trained(self, train: Trained) -> None:
        """Let nothing, the last stage, or everything of the backbone be trained, in a training from its next epoch on.

        Raises:
            ValueError: there is no backbone to train.
        """
        if self.backbone is None:
            if train != "frozen":
                raise ValueError(f"heads on features have no backbone to train: got {train}")
            return
        cast("Backbone", self.backbone).set_trained(train)
        self.trained_backbone = _trained(self.backbone)
        self.train(self.training)

    def forward(self, inputs: torch.Tensor, dropout: torch.Tensor | None = None) -> torch.Tensor:
        """Logits `[F, B, 6]` of inputs `[F * B, ...]`; features are multiplied by the mask `[F, B, D]`."""
        features = self.features(inputs).unflatten(0, (len(self.heads), -1))
        return self.heads(features if dropout is None else features * dropout)

    def features(self, inputs: torch.Tensor) -> torch.Tensor:
        """Features `[n, D]`, float32, of inputs `[n, ...]`."""
        if self.backbone is None:
            return inputs
        with torch.set_grad_enabled(torch.is_grad_enabled() and bool(self.trained_backbone)):
            return self.backbone(inputs).float()

    def train(self, mode: bool = True) -> "Network":
        super().train(mode)
        if self.backbone is not None and not self.trained_backbone:
            self.backbone.eval()
        return self

    def trained_parameters(self, head: int) -> list[nn.Parameter]:
        """What the optimizer of a head's fold trains."""
        return [*self.heads.parameters_of(head), *self.trained_backbone]

    def gradient_norms(self) -> torch.Tensor:
        """The norm of each fold's gradient `[F]`, the trained backbone's included."""
        norms = self.heads.gradient_norms()
        gradients = [p.grad for p in self.trained_backbone if p.grad is not None]
        return torch.hypot(norms, nn.utils.get_total_norm(gradients)) if gradients else norms

    def trained_state(self) -> dict[str, torch.Tensor]:
        """Copies of all that training changes: trained parameters, and the trained backbone's statistics."""
        trained = {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}
        statistics = dict(self.named_buffers()) if self.trained_backbone else {}
        return {name: tensor.detach().clone() for name, tensor in (*trained.items(), *statistics.items())}

    @torch.no_grad()
    def load_trained_state(self, state: dict[str, torch.Tensor]) -> None:
        """Take back what `trained_state` gave.

        Raises:
            ValueError: it is the state of a network with other trained parts.
        """
        own = self.state_dict()
        if state.keys() != self.trained_state().keys():
            differ = sorted(state.keys() ^ self.trained_state().keys())
            raise ValueError(f"the state is of a network with other trained parts, which differ in {differ}")
        for name, tensor in state.items():
            own[name].copy_(tensor)


def _trained(backbone: nn.Module | None) -> list[nn.Parameter]:
    return [] if backbone is None else [p for p in backbone.parameters() if p.requires_grad]
