"""Whether an engine's features agree with torch's."""

from typing import Final

import torch

from ichtune.bank.engines.protocol import Engine, EngineError
from ichtune.models.backbones import Backbone

LARGEST_DIFFERENCE: Final = 0.0447
"""Relative to the features' norm; the cosine of features that differ by less is above 0.999, as 0.0447^2 = 0.002.

For |a - b| <= e |b|, the angle between a and b is at most asin(e), whose cosine is sqrt(1 - e^2).
"""
TIMES_TORCH: Final = 1.5
"""An engine in bfloat16 may be off by this many times what torch's own bfloat16 is; both round, each in its way."""


def difference(features: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference of an image's features `[n, D]` from the expected ones, relative to their norm.

    NaN if any feature is; 0 where both are zero.
    """
    found, wanted = features.double().cpu(), expected.double().cpu()
    norms = wanted.norm(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
    return ((found - wanted).norm(dim=1) / norms).max().item()


@torch.no_grad()
def check_agreement(engine: Engine, backbone: Backbone, images: torch.Tensor) -> None:
    """Compare an engine's features of images `[n, C, S, S]` with torch's in float32.

    A network may lose more than that in bfloat16, so torch's own loss is taken as the measure then.

    Raises:
        EngineError: the features differ by more than rounding.
    """
    exact = backbone.computed(images, "float32")
    own = difference(backbone(images), exact)
    allowed = max(LARGEST_DIFFERENCE, TIMES_TORCH * own)
    found = difference(engine(images), exact)
    if not found <= allowed:  # NaN too
        raise EngineError(
            f"its features differ from torch's by {found:.2g} of their norm, where {allowed:.2g} is allowed"
        )
