"""Sources of backbones: each builds networks by name and knows their ImageNet weights."""

from collections.abc import Mapping
from typing import Final

from ichtune.errors import InputError
from ichtune.models.sources.efficientnet_lite import NAMES as LITE
from ichtune.models.sources.efficientnet_lite import EfficientNetLite
from ichtune.models.sources.protocol import BackboneSource, Statistics
from ichtune.models.sources.small import NETWORKS, Small
from ichtune.models.sources.timm import PREFIX, Timm
from ichtune.models.sources.torchvision import Torchvision

__all__ = ["BackboneSource", "Statistics", "source_of"]

_OWN: Final[Mapping[str, BackboneSource]] = dict.fromkeys(LITE, EfficientNetLite()) | dict.fromkeys(
    NETWORKS, Small()
)


_TORCHVISION: Final = Torchvision(others=tuple(_OWN))


def source_of(backbone: str) -> BackboneSource:
    """Return the source of a backbone: timm for `timm/NAME`, ours or torchvision without a slash.

    Raises:
        InputError: there is no source of that name.
    """
    source, slash, _ = backbone.partition("/")
    if slash:
        if f"{source}/" != PREFIX:
            raise InputError(
                f"model.backbone: {backbone!r} has an unknown source; use {PREFIX}NAME, or a name without a slash"
            )
        return Timm()
    return _OWN.get(backbone, _TORCHVISION)
