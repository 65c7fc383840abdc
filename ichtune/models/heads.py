"""The heads of all folds side by side, and the network that they make with a backbone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ichtune.labels import LABELS


class HeadStack(nn.Module):
    """One linear head a fold: features `[F, B, D]` in, logits `[F, B, 6]` out.

    Each head is a leaf parameter of its own, `[D + 1, 6]` with the bias as last row, so that each fold has
    its own optimizer and a fold without a batch in a step is just not stepped. A head starts as torch's
    `nn.Linear` does, uniform within 1/sqrt(D), drawn from (seed, the fold's number).
    """

    def __init__(self, width: int, folds: Sequence[int], seed: int) -> None:
        super().__init__()
        self.width = width
        self.weights = nn.ParameterList(_initial_head(width, seed, fold) for fold in folds)

    def __len__(self) -> int:
        return len(self.weights)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        stacked = torch.stack(tuple(self.weights))
        return torch.baddbmm(stacked[:, -1:], features, stacked[:, :-1])

    def one(self, head: int, features: torch.Tensor) -> torch.Tensor:
        """Logits `[n, 6]` of a single head for features `[n, D]`."""
        weight = self.weights[head]
        return torch.addmm(weight[-1], features, weight[:-1])

    def export(self, head: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A head as `nn.Linear` keeps it: copies of weight `[6, D]` and bias `[6]`."""
        weight = self.weights[head].detach()
        return weight[:-1].T.clone(), weight[-1].clone()

    @torch.no_grad()
    def load(self, head: int, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Overwrite a head with weight `[6, D]` and bias `[6]`.

        Raises:
            ValueError: the shapes are those of another head.
        """
        if weight.shape != (len(LABELS), self.width) or bias.shape != (len(LABELS),):
            raise ValueError(
                f"a head of width {self.width} takes weight [{len(LABELS)}, {self.width}] and bias "
                f"[{len(LABELS)}], got {list(weight.shape)} and {list(bias.shape)}"
            )
        self.weights[head].copy_(torch.cat([weight.T, bias.unsqueeze(0)]))


def _initial_head(width: int, seed: int, fold: int) -> nn.Parameter:
    rng = np.random.default_rng([*b"head", seed, fold])
    bound = width**-0.5
    return nn.Parameter(
        torch.from_numpy(rng.uniform(-bound, bound, (width + 1, len(LABELS))).astype(np.float32))
    )


class Network(nn.Module):
    """A backbone, or none where the inputs are features already, under the heads of F folds.

    The backbone takes `[n, C, H, W]` to `[n, D]`. It is trained as far as its parameters require gradients when
    it is handed in; where none does it is frozen, and stays in evaluation mode and without gradient whatever
    mode is set.
    """

    def __init__(self, backbone: nn.Module | None, heads: HeadStack) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = heads
        self.trained_backbone = (
            [] if backbone is None else [p for p in backbone.parameters() if p.requires_grad]
        )

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
        return [self.heads.weights[head], *self.trained_backbone]

    def gradient_norms(self) -> torch.Tensor:
        """The norm of each fold's gradient `[F]`, the trained backbone's included."""
        heads = torch.stack([weight.grad for weight in self.heads.weights])
        norms = torch.linalg.vector_norm(heads, dim=(1, 2))
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
