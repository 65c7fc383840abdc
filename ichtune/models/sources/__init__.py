"""Sources of backbones: each builds networks by name and knows their ImageNet weights."""

from typing import Final

from ichtune.models.sources.protocol import BackboneSource, Statistics
from ichtune.models.sources.torchvision import Torchvision

__all__ = ["SOURCES", "BackboneSource", "Statistics", "source_of"]

SOURCES: Final[dict[str, BackboneSource]] = {"torchvision": Torchvision()}


def source_of(backbone: str) -> BackboneSource:
    """Return the source of a backbone: the part of its name before a slash, torchvision without one."""
    return SOURCES.get(backbone.partition("/")[0], SOURCES["torchvision"])
