"""Initial weights of a backbone: from ImageNet, random from a seed, or from a file."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from ichtune.models.first_layer import INPUTS, widened
from ichtune.models.sources import BackboneSource, Statistics, source_of
from ichtune.models.weights_files import WeightsError, backbone_tensors, our_backbone, read_weights
from ichtune.recipe import Model


class Pretrained(NamedTuple):
    """A network without its classifier, and the input statistics that its weights expect."""

    network: nn.Module
    inputs: Statistics


def pretrained(model: Model, *, seed: int) -> Pretrained:
    """Return the network and weights that `model` names; `seed` is for random weights.

    Inputs are normalised as they were when the weights were trained: with the source's statistics (for most
    ImageNet weights mean 0.485, 0.456, 0.406 and standard deviation 0.229, 0.224, 0.225), with 0.5 and 0.5 for
    random weights, and with the statistics in one of our own files.

    Raises:
        InputError: the source has no such backbone.
        WeightsError: the weights can't be downloaded or read, or belong to another network.
    """
    source, name = source_of(model.backbone), model.backbone
    source.check(name)
    if model.weights == "imagenet":
        found = Pretrained(source.imagenet(model), source.statistics(name))
    elif model.weights == "random":
        half = torch.full((1,), 0.5)
        found = Pretrained(source.random(model, seed), Statistics(half, half))
    else:
        found = _from_file(source, model, Path(model.weights))
    return Pretrained(widened(found.network, model), found.inputs)


def _from_file(source: BackboneSource, model: Model, path: Path) -> Pretrained:
    tensors = backbone_tensors(read_weights(path))
    if ours := our_backbone(tensors):
        inputs = Statistics(ours.mean, ours.std)
        network, state = source.random(model, seed=0), ours.network
        if len(ours.mean) > INPUTS:
            network = widened(network, model)
    else:
        inputs = source.statistics(model.backbone)
        network, state = source.published(model, tensors)
    _load(network, state, f"{path}: these are not the weights of {model.backbone}")
    return Pretrained(network, inputs)


def _load(network: nn.Module, state: dict[str, torch.Tensor], refusal: str) -> None:
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:  # a tensor with another shape
        raise WeightsError(f"{refusal}: {error}") from error
    # Files from before torch 0.4.1 don't count batches.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    problems = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for keys, what in ((missing, "missing"), (unexpected, "unexpected"))
        if keys
    ]
    if problems:
        raise WeightsError(f"{refusal}: {', '.join(problems)}")
