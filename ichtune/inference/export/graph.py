"""A trained model as one traceable module, from Hounsfield units to probabilities."""

from collections.abc import Sequence

import torch
from torch import nn

from ichtune.averaging import MOST_CERTAIN
from ichtune.bank.engines.traceable import Traceable
from ichtune.inference.about import About
from ichtune.inference.calibration import Calibration
from ichtune.inference.classifier import Classifier
from ichtune.labels import LABELS
from ichtune.models.heads.normalization import Normalized
from ichtune.models.heads.scan_grid import WholeScan
from ichtune.models.heads.scan_reader import ScanReader
from ichtune.windows import Window

INPUT = "hounsfield_units"
OUTPUTS = ("logits", "probabilities")


class Exported(nn.Module):
    """Logits and calibrated probabilities, both float32 `[n, 6]`, of Hounsfield units, float32 `[n, K, S, S]`.

    K is the number of slices that are seen together, from the feet towards the head with the slice itself in the
    middle, S the model's size. If the head reads scans, the n slices are a whole scan from the feet towards the head.

    Computed in float32, whatever the model was trained in. An ensemble's logits are those of the mean probability.
    """

    def __init__(self, about: About, networks: Sequence[Classifier]) -> None:
        super().__init__()
        self.windowing = Windowing([Window.parse(text) for text in about.preprocessing.windows])
        self.networks = nn.ModuleList(_Traced(network) for network in networks)
        self.calibration = Calibrating(about.calibration)
        self.calibrates_members = about.calibrated == "members"
        self.eval()

    def forward(self, hounsfield_units: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images = self.windowing(hounsfield_units)
        each = torch.stack([network(images) for network in self.networks])
        logits = each[0] if len(self.networks) == 1 else _logits_of(each.sigmoid().mean(dim=0))
        if self.calibrates_members:
            return logits, self.calibration(each).mean(dim=0)
        return logits, self.calibration(logits)


class Windowing(nn.Module):
    """Grey values in 0..1, in steps of 1/255, `[n, K * W, S, S]`: for each slice one channel per window."""

    def __init__(self, windows: Sequence[Window]) -> None:
        super().__init__()
        self.low: torch.Tensor
        self.width: torch.Tensor
        self.register_buffer("low", torch.tensor([window.low for window in windows]).view(1, 1, -1, 1, 1))
        self.register_buffer("width", torch.tensor([window.width for window in windows]).view(1, 1, -1, 1, 1))

    def forward(self, hu: torch.Tensor) -> torch.Tensor:
        grey = ((hu[:, :, None] - self.low) / self.width).clamp(0, 1)
        return ((grey * 255).round() / 255).flatten(1, 2)


class Calibrating(nn.Module):
    """Calibrated probabilities `[..., 6]` of logits `[..., 6]`."""

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        self.slopes: torch.Tensor
        self.intercepts: torch.Tensor
        for name, values in (("slopes", calibration.slopes), ("intercepts", calibration.intercepts)):
            self.register_buffer(name, torch.tensor([values[label] for label in LABELS]))

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return (logits * self.slopes + self.intercepts).sigmoid()


class _Traced(nn.Module):
    """A network's logits of images, of any number of slices."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.backbone = Traceable(network.backbone)
        self.head = network.head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features, head = self.backbone(images), self.head
        if isinstance(head, Normalized):
            features, head = head.normalization.one(0, features), head.head
        return head.read(features, WholeScan(features)) if isinstance(head, ScanReader) else head(features)


def _logits_of(probabilities: torch.Tensor) -> torch.Tensor:
    return probabilities.clamp(MOST_CERTAIN, 1 - MOST_CERTAIN).logit()
