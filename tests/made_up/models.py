"""Folders of models that nobody has trained."""

from pathlib import Path

from ichtune.inference.about import Origin, Preprocessing
from ichtune.inference.classifier import Classifier
from ichtune.inference.model_folder import write_model
from ichtune.models.backbones import build_backbone
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.recipe import Model, Recipe, Training

RECIPE = Recipe(
    model=Model(weights="random", windows=("subdural",), size=32, train="all"),
    training=Training(precision="float32"),
)
SQUEEZENET = Model(backbone="squeezenet1_1", weights="random", size=64)


def write_model_folder(folder: Path, recipe: Recipe = RECIPE, seed: int = 0) -> Path:
    backbone = build_backbone(recipe.model.model_copy(update={"weights": "random"}), seed=seed)
    seeded = recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": seed})})
    folder.mkdir()
    write_model(
        folder,
        Classifier.of(Network(backbone, make_heads(seeded, backbone.width, [0]))),
        preprocessing=Preprocessing.of(recipe.model),
        recipe=recipe,
        fingerprint="0123456789abcdef",
        origin=Origin(run="r", rank=1, trial="t", fold=0, head="warm", epoch=1, seed=0, differences={}),
        versions={},
    )
    return folder
