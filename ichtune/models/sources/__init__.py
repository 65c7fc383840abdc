"""Where backbones come from: each source builds networks by name, and knows the ImageNet weights that go with them."""

from typing import Final

from ichtune.models.sources.protocol import BackboneSource, Statistics
from ichtune.models.sources.torchvision import Torchvision

__all__ = ["SOURCES", "BackboneSource", "Statistics", "source_of"]

SOURCES: Final[dict[str, BackboneSource]] = {"torchvision": Torchvision()}


def source_of(backbone: str) -> BackboneSource:
    """The source of a backbone: what its name has before a slash, torchvision for a plain name."""
    return SOURCES.get(backbone.partition("/")[0], SOURCES["torchvision"])
