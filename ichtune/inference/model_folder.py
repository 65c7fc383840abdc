"""A trained model on disk: its weights and its `model.yaml`, or those of an ensemble's members."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ichtune.checksums import sha256_of
from ichtune.files import refuse_ways_out
from ichtune.inference.about import ABOUT, About, ModelError, read_about, write_about
from ichtune.inference.classifier import Classifier
from ichtune.models.backbones import build_backbone
from ichtune.models.heads import make_heads
from ichtune.models.weights_files import WeightsError, load_classifier, write_classifier

WEIGHTS: Final = "weights.safetensors"


def write_model(folder: Path, network: Classifier, **about: Any) -> About:
    """Write a network and its `About` fields (except hash and format) to an existing folder."""
    write_classifier(folder / WEIGHTS, network)
    written = About(weights_sha256=sha256_of(folder / WEIGHTS), **about)
    write_about(folder, written)
    return written


def write_ensemble(folder: Path, members: Sequence[str], **about: Any) -> About:
    """Write the `About` fields of an ensemble, whose members are models in these folders below."""
    written = About(members=tuple(members), **about)
    write_about(folder, written)
    return written


def read_networks(folder: Path) -> tuple[About, tuple[Classifier, ...]]:
    """What a folder says of its model, and its network, or those of an ensemble's members; never runs code from it.

    Raises:
        ModelError: there is no model, a damaged one, or one of another format version.
    """
    if folder.is_dir():
        refuse_ways_out(folder)
    about = read_about(folder)
    return about, tuple(_network(place, of) for place, of in _parts(folder, about))


def _parts(folder: Path, about: About) -> Iterator[tuple[Path, About]]:
    """Yield the folders with weights, and what they hold: the model's own, or those of an ensemble's members."""
    if not about.members:
        yield folder, about
    for name in about.members:
        member = read_about(folder / name)
        if member.members or member.preprocessing != about.preprocessing:
            raise ModelError(f"{folder / name}: not a member of this ensemble; copy the whole folder again")
        yield folder / name, member


def _network(folder: Path, about: About) -> Classifier:
    file = folder / WEIGHTS
    if not file.is_file():
        raise ModelError(f"{folder}: {WEIGHTS} is missing; copy the whole folder, or retrain the model")
    if sha256_of(file) != about.weights_sha256:
        raise ModelError(f"{file}: damaged, or not the weights of {folder / ABOUT}; retrain the model")
    # This only gives the network its shape: all its values come from the file.
    shape = about.recipe.model.model_copy(update={"weights": "random", "train": "frozen"})
    backbone = build_backbone(shape, seed=0, precision=about.recipe.training.precision)
    network = Classifier(backbone, make_heads(about.recipe, backbone.width, [0]).export(0))
    try:
        load_classifier(file, network)
    except WeightsError as error:
        raise ModelError(
            f"{file}: not the weights of a {shape.backbone} ({error}); retrain the model"
        ) from None
    return network
