"""Folders of models that nobody has trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ichtune.inference.about import Origin, Preprocessing
from ichtune.inference.classifier import Classifier
from ichtune.inference.model_folder import write_ensemble, write_model
from ichtune.models.backbones import build_backbone
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.recipe import Model, Recipe, Training

RECIPE = Recipe(
    model=Model(weights="random", windows=("subdural",), size=32, train="all"),
    training=Training(precision="float32"),
)
SQUEEZENET = Model(backbone="squeezenet1_1", weights="random", size=64)


CNN5 = Recipe(
    model=Model(backbone="cnn5", weights="random", windows=("brain",), size=32, train="all"),
    training=Training(precision="float32"),
)
"""Small enough that a test may write several."""


def write_model_folder(folder: Path, recipe: Recipe = RECIPE, seed: int = 0, **about: Any) -> Path:
    """A model of random weights; `about` are further fields of its description."""
    backbone = build_backbone(recipe.model.model_copy(update={"weights": "random"}), seed=seed)
    seeded = recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": seed})})
    folder.mkdir()
    write_model(
        folder,
        Classifier.of(Network(backbone, make_heads(seeded, backbone.width, [0]))),
        **_described(recipe, about),
    )
    return folder


def write_ensemble_folder(
    folder: Path, recipe: Recipe = CNN5, seeds: Sequence[int] = (0, 1), **about: Any
) -> Path:
    """An ensemble of models of random weights."""
    folder.mkdir()
    members = [write_model_folder(folder / f"fold{seed}", recipe, seed).name for seed in seeds]
    write_ensemble(folder, members, **_described(recipe, about))
    return folder


def _described(recipe: Recipe, about: dict[str, Any]) -> dict[str, Any]:
    origin = Origin(run="r", rank=1, trial="t", fold=0, head="warm", epoch=1, seed=0, differences={})
    return {
        "preprocessing": Preprocessing.of(recipe.model),
        "recipe": recipe,
        "fingerprint": "0123456789abcdef",
        "origin": origin,
        "versions": {},
        **about,
    }
