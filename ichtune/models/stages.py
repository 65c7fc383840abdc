"""The stages of a network, found in the network itself, whichever library it is from."""

from collections.abc import Iterator
from typing import Final

from torch import nn

# Modules that only hold the stages; other networks have their stages at the top level.
_CONTAINERS: Final = ("features", "trunk_output", "encoder", "blocks", "layers", "stages")
Stage = list[nn.Module]


def stages(network: nn.Module) -> list[Stage]:
    """Return a network's stages, from its images to its features.

    A stage is a module with at least two layers that have weights, and what follows it up to the next one: layer4 of a
    resnet, denseblock4 and norm5 of a densenet, the last blocks and the closing convolution of an efficientnet, the
    last encoder layer and norm of a vision transformer. Before the first such module, every layer is a stage. (These
    are timm's own groups, `group_matcher(coarse=True)`, in networks that have them, with a closing norm as part of the
    last one.)
    """
    found: list[Stage] = []
    begun = False
    for module in _in_order(network):
        layers = sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in module.modules())
        if not found or layers >= 2 or (layers and not begun):
            found.append([module])
        else:
            found[-1].append(module)
        begun = begun or layers >= 2
    return found


def distances(network: nn.Module) -> dict[nn.Parameter, int]:
    """Return how many stages each parameter is away from the head, 1 for those of the last stage.

    A parameter that belongs to no module of a stage, such as a class token, belongs to the first.
    """
    own = stages(network)
    found = dict.fromkeys(network.parameters(), len(own))
    for distance, stage in enumerate(reversed(own), start=1):
        found |= {parameter: distance for module in stage for parameter in module.parameters()}
    return found


def _in_order(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules in the order of use, without the containers around them."""
    for name, module in network.named_children():
        if name in _CONTAINERS:
            yield from _in_order(module)
        else:
            yield module
