"""What an optimizer trains, in groups that share a learning rate."""

from typing import Any

from torch import nn

from ichtune.models.network import Network
from ichtune.recipe import Finetuning


def parameter_groups(network: Network, head: int, lr: float, finetuning: Finetuning) -> list[dict[str, Any]]:
    """Return the groups of torch's optimizers for a head's fold, each with its learning rate.

    The first has the head's parameters, at `lr`, and whatever of the backbone has the same rate; see `Finetuning`.
    """
    distances = network.distances()
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in network.trained_parameters(head):
        distance = distances.get(parameter, 0)
        factor = finetuning.backbone_rate * finetuning.layer_decay**distance if distance else 1.0
        groups.setdefault(factor, []).append(parameter)
    return [{"params": parameters, "lr": lr * factor} for factor, parameters in groups.items()]
