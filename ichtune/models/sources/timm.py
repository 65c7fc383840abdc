"""timm's networks, under `timm/NAME` or `timm/NAME.TAG`."""

import functools
import importlib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ichtune.errors import InputError
from ichtune.models.sources.drawing import weights_from
from ichtune.models.sources.protocol import Statistics
from ichtune.models.sources.wrong_size import wrong_size
from ichtune.models.weights_files import WeightsError
from ichtune.recipe import Model
from ichtune.wording import did_you_mean

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

PREFIX = "timm/"


class Timm:
    """The source of timm's networks; implements `BackboneSource`.

    The ImageNet weights of `timm/NAME` are those of timm's default tag; those of `timm/NAME.TAG` are another set.
    """

    libraries: tuple[str, ...] = ("timm",)

    def check(self, name: str) -> None:
        timm, own = _timm(), name.removeprefix(PREFIX)
        architecture, _, tag = own.partition(".")
        known = timm.list_models()
        if architecture not in known:
            mend = (
                did_you_mean(architecture, known) or "; use one such as timm/resnet18 or timm/convnext_atto"
            )
            raise InputError(f"model.backbone: timm has no network {architecture!r}{mend}")
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
        if tag and tag not in tags:
            have = f"it has {', '.join(tags)}" if tags else "it has none"
            raise InputError(f"model.backbone: timm has no weights {tag!r} of {architecture}; {have}")

    def random(self, model: Model, seed: int) -> nn.Module:
        with weights_from(seed):
            return _network(model)

    def imagenet(self, model: Model) -> nn.Module:
        config = _config(model.backbone)
        ways_out = (
            "start from random ones with --set model.weights=random, or get them elsewhere and pass them with "
            "--set model.weights=PATH"
        )
        if config is None or not config.has_weights:
            raise WeightsError(f"model.weights: timm has no weights of {model.backbone}; {ways_out}")
        try:
            _check_reachable(config)
            return _network(model, pretrained=True)
        except InputError:
            raise
        except Exception as error:  # of the hub's libraries, which differ by their version
            where = f"huggingface.co/{config.hf_hub_id}" if config.hf_hub_id else config.url
            raise WeightsError(
                f"model.weights: the weights of {model.backbone} can't be downloaded from {where} ({error}); {ways_out}"
            ) from error

    def published(
        self, model: Model, tensors: dict[str, torch.Tensor]
    ) -> tuple[nn.Module, dict[str, torch.Tensor]]:
        network = self.random(model, seed=0)
        config = _config(model.backbone)
        classifiers = config.classifier if config else None
        dropped = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers or ())
        own = {key: tensor for key, tensor in tensors.items() if key.rpartition(".")[0] not in dropped}
        return network, own

    def statistics(self, name: str) -> Statistics:
        config = _config(name)
        mean, std = (config.mean, config.std) if config else ((0.5,) * 3, (0.5,) * 3)
        return Statistics(torch.tensor(mean), torch.tensor(std))

    def image_size(self, name: str) -> int:
        config = _config(name)
        return config.input_size[-1] if config else 224


@functools.cache
def _timm() -> Any:
    return importlib.import_module("timm")  # takes two seconds, because it imports torch's compiler


def _config(name: str) -> "PretrainedCfg | None":
    return _timm().get_pretrained_cfg(name.removeprefix(PREFIX))


def _network(model: Model, *, pretrained: bool = False) -> nn.Module:
    """Build a network without its classifier, for images of the model's size where it must know that."""
    name, config = model.backbone.removeprefix(PREFIX), _config(model.backbone)
    fixed = config is not None and config.fixed_input_size and config.input_size[-1] != model.size
    options = {"img_size": model.size} if fixed else {}
    try:
        network = _timm().create_model(name, pretrained=pretrained, num_classes=0, **options)
    except (TypeError, AssertionError, ValueError, RuntimeError) as error:
        if not fixed:
            raise
        raise wrong_size(model, str(error), Timm().image_size(model.backbone)) from error
    # timm would cut off what doesn't fill a patch.
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    if patch and model.size % patch[0]:
        # The next smaller size that fits, so that nobody is sent beyond the resolution of their store.
        fits = max(model.size // patch[0], 1) * patch[0]
        raise wrong_size(model, f"it reads patches of {patch[0]} x {patch[0]} pixels", fits)
    return network


def _check_reachable(config: "PretrainedCfg") -> None:
    """Raise the hub's error at once if a file is neither cached nor to be had; a download would retry for long."""
    if not config.hf_hub_id:
        return
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    names = [config.hf_hub_filename] if config.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    if not any(isinstance(try_to_load_from_cache(config.hf_hub_id, name), str) for name in names):
        get_hf_file_metadata(hf_hub_url(config.hf_hub_id, "config.json"))
