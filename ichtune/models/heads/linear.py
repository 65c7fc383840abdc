"""The linear head: a weighted sum of the features and a bias for each label."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ichtune.labels import LABELS
from ichtune.models.heads.protocol import Heads, Sizes
from ichtune.recipe import Normalize


class LinearHeads(Heads):
    """One linear layer per fold, each a single parameter `[D + 1, 6]` with the bias as the last row.

    A head is initialised like torch's `nn.Linear`, uniform within 1/sqrt(D), seeded by (seed, fold number).
    """

    def __init__(self, width: int, folds: Sequence[int], seed: int, normalize: Normalize = "none") -> None:
        super().__init__(width, folds, normalize)
        self.weights = nn.ParameterList(_initial(width, seed, fold) for fold in folds)

    def _logits(
        self, inputs: torch.Tensor, dropout: torch.Tensor | None, sizes: Sequence[Sizes] | None
    ) -> torch.Tensor:
        stacked = torch.stack(tuple(self.weights))
        dropped = inputs if dropout is None else inputs * dropout
        return torch.baddbmm(stacked[:, -1:], dropped, stacked[:, :-1])

    def _one(self, head: int, inputs: torch.Tensor, sizes: Sizes | None) -> torch.Tensor:
        weight = self.weights[head]
        return torch.addmm(weight[-1], inputs, weight[:-1])

    def _export(self, head: int) -> nn.Linear:
        weight = self.weights[head].detach()
        linear = nn.utils.skip_init(nn.Linear, self.width, len(LABELS), device=weight.device)
        linear.load_state_dict({"weight": weight[:-1].T, "bias": weight[-1]})
        return linear


def _initial(width: int, seed: int, fold: int) -> nn.Parameter:
    rng = np.random.default_rng([*b"head", seed, fold])
    bound = width**-0.5
    return nn.Parameter(
        torch.from_numpy(rng.uniform(-bound, bound, (width + 1, len(LABELS))).astype(np.float32))
    )
