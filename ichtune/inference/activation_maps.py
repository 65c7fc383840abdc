"""Class activation maps: where in a slice a model found the evidence for a label."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ichtune.data.scans import Scans
from ichtune.errors import InputError
from ichtune.inference.classifier import Classifier
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import ANY, LABELS
from ichtune.models.backbones import Backbone
from ichtune.models.feature_maps import as_grid, check_feature_map, last_feature_map, tokens_before
from ichtune.training.units import ScanUnits
from ichtune.wording import not_one_of

if TYPE_CHECKING:
    from pytorch_grad_cam.base_cam import BaseCAM

Method = Literal["hirescam", "gradcam"]
METHODS: Final = get_args(Method)
_BATCH: Final = 8


def activation_maps(
    model: TrainedModel,
    hu: np.ndarray,
    rows: np.ndarray | None = None,
    *,
    label: str = ANY,
    scans: Scans | None = None,
    method: Method = "hirescam",
    layer: str | None = None,
) -> np.ndarray:
    """Maps `[n, S, S]` (float32, 0..1) of what speaks for a label, of slices in Hounsfield units (int16 `[N, S, S]`).

    HiResCAM (Draelos and Carin 2020, arXiv:2011.08891) is activation times gradient, summed over channels; Grad-CAM
    (Selvaraju et al., ICCV 2017) averages the gradient over positions first. Negative values become 0, each map is
    divided by its maximum, and enlarged linearly from the layer's few positions; a slice in which nothing speaks for
    the label has a map of zeros. An ensemble's map is the mean of its members'.

    `layer` is a name in the backbone; None: the last layer with a grid of positions. `rows` and `scans` are as for
    `TrainedModel.logits`. A head that reads scans is followed back to the slice whose logit it is.

        model = TrainedModel.open("runs/mine/retrain/rank1-all")
        maps = activation_maps(model, store.hu, rows, label="subdural", scans=store.scans)

    Raises:
        InputError: there is no such label, method or layer, or the layer has no grid.
    """
    names = check_maps(model, label, method, layer)
    rows = np.arange(len(hu)) if rows is None else rows
    found = np.zeros((len(rows), *hu.shape[1:]), np.float32)
    for places, images, scored in _scored(model, hu, rows, scans):
        for score, name in zip(scored, names, strict=True):
            heat = _heat(score, images, name, LABELS.index(label), method)
            found[places] += _shown(heat, hu.shape[1]) / len(names)
    return found


def check_maps(model: TrainedModel, label: str, method: str, layer: str | None) -> tuple[str, ...]:
    """The name of the layer of each network's backbone that maps would be of.

    Raises:
        InputError: there is no such label, method or layer, or the layer has no grid.
    """
    if label not in LABELS:
        raise InputError(f"--label: {not_one_of(label, LABELS)}")
    if method not in METHODS:
        raise InputError(f"--method: {not_one_of(method, METHODS)}")
    return tuple(_layer(network.backbone, model, layer) for network in model.networks)


def _layer(backbone: Backbone, model: TrainedModel, layer: str | None) -> str:
    seen = model.about.preprocessing
    channels = model.about.recipe.model.model_copy(update=seen.model_dump()).channels
    noise = torch.rand((1, channels, seen.size, seen.size), generator=torch.Generator().manual_seed(0))
    inputs = backbone.normalized(noise.to(model.device))
    if layer is None:
        return last_feature_map(backbone.network, inputs)
    check_feature_map(backbone.network, inputs, layer)
    return layer


class _Score(nn.Module):
    """Logits `[n, 6]` of images, in float32, as half precision would blur small gradients.

    With the features `[K, D]` of a scan, the one image is that of its slice number `place`.
    """

    def __init__(self, network: Classifier, scan: torch.Tensor | None = None, place: int = 0) -> None:
        super().__init__()
        self.backbone: Backbone = network.backbone
        self.head = network.head
        self.scan, self.place = scan, place

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.backbone.computed(images, "float32")
        if self.scan is None:
            return self.head(features)
        whole = torch.cat([self.scan[: self.place], features, self.scan[self.place + 1 :]])
        # cuDNN has no gradients of recurrent layers outside training.
        with torch.backends.cudnn.flags(enabled=False):
            return self.head(whole)[self.place, None]


def _scored(
    model: TrainedModel, hu: np.ndarray, rows: np.ndarray, scans: Scans | None
) -> Iterator[tuple[np.ndarray, torch.Tensor, list[_Score]]]:
    """Yield places in `rows`, the images of these slices, and what scores them in each network."""
    if not model.about.recipe.head.reads_scans:
        alone = [_Score(network) for network in model.networks]
        chunks = np.split(np.arange(len(rows)), range(_BATCH, len(rows), _BATCH)) if len(rows) else []
        for places, images in zip(
            chunks, model.images(hu, scans).batches([rows[c] for c in chunks], None), strict=True
        ):
            yield places, images.to(model.device), alone
        return
    units = None if scans is None else ScanUnits.of(scans)
    of = np.zeros(len(rows), int) if units is None else units.of_row[rows]
    for unit in np.unique(of).tolist():
        whole = rows if units is None else units.order[units.starts[unit] : units.starts[unit + 1]]
        places = np.flatnonzero(of == unit)
        with torch.no_grad():
            features = [torch.cat(each) for each in zip(*model.features(hu, whole, scans), strict=True)]
        images = model.images(hu, scans).batches([rows[[place]] for place in places], None)
        for place, image in zip(places, images, strict=True):
            at = place if scans is None else int(np.flatnonzero(whole == rows[place])[0])
            scored = [_Score(each, its, at) for each, its in zip(model.networks, features, strict=True)]
            yield np.array([place]), image.to(model.device), scored


def _heat(score: _Score, images: torch.Tensor, layer: str, label: int, method: Method) -> np.ndarray:
    """What speaks for a label at each position of a layer, at least 0, `[n, h, h]`.

    The hooks and the formula are grad-cam's. Its scaling isn't used, as it subtracts each map's minimum: heat that is
    everywhere would be lost, the share of it outside the head too.
    """
    # Slow to import, which processes that only predict shouldn't pay.
    from pytorch_grad_cam import GradCAM, HiResCAM

    before = tokens_before(score.backbone.network)
    target = score.backbone.network.get_submodule(layer)
    cam: BaseCAM = (HiResCAM if method == "hirescam" else GradCAM)(
        score, [target], lambda output: as_grid(output, before)
    )
    try:
        with torch.enable_grad():
            cam.activations_and_grads(images.requires_grad_())[:, label].sum().backward()
        activations, gradients = (
            kept[-1].numpy()
            for kept in (cam.activations_and_grads.activations, cam.activations_and_grads.gradients)
        )
        return np.maximum(cam.get_cam_image(images, target, [], activations, gradients, False), 0)
    finally:
        cam.activations_and_grads.release()


def _shown(heat: np.ndarray, size: int) -> np.ndarray:
    """Maps `[n, size, size]` in 0..1 of heat `[n, h, h]`."""
    most = heat.max(axis=(1, 2), keepdims=True)
    scaled = np.divide(heat, most, out=np.zeros_like(heat), where=most > 0)
    grid = torch.from_numpy(scaled)[:, None].float()
    return functional.interpolate(grid, (size, size), mode="bilinear", align_corners=False)[:, 0].numpy()
