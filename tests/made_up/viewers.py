"""A viewer that runs, and studies to show in it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ichtune.inference.about import Origin, Preprocessing
from ichtune.inference.classifier import Classifier
from ichtune.inference.model_folder import write_model
from ichtune.inference.trained_model import TrainedModel
from ichtune.models.backbones import build_backbone
from ichtune.models.heads import make_heads
from ichtune.recipe import Recipe
from ichtune.viewer.folder import read_folder
from ichtune.viewer.server import ViewerServer
from ichtune.viewer.session import Session
from ichtune.viewer.study import MIB
from tests.made_up.dicom import write_dicom


@contextmanager
def running_viewer(
    model: TrainedModel, folder: Path | None = None, most: int = 64 * MIB
) -> Iterator[ViewerServer]:
    """A server of the page, with a folder opened or none."""
    session = Session(model, most)
    if folder is not None:
        session.show(read_folder(folder, most, lambda done, total, remark: None))
    with ViewerServer(session, "a model") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def write_steps(folder: Path, slices: int = 9, size: int = 48, **tags: object) -> Path:
    """A series in which slice k, from 0 at the feet, is k x 10 HU all over; files are numbered from the head."""
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(slices):
        stored = np.full((size, size), 10 * place, np.int16)
        stored[0, 0] = -1000 + place  # no slice is a copy of another
        position = {"ImagePositionPatient": [-12, -12, 5.0 * place], "PixelSpacing": [0.5, 0.5]}
        write_dicom(folder / f"{slices - place:02}.dcm", stored, **position | tags)
    return folder


def write_scan_reader(folder: Path, recipe: Recipe, head: str) -> Path:
    """A model that nobody has trained, of a recipe with a head that reads scans instead of its own."""
    recipe = Recipe.model_validate({**recipe.model_dump(), "head": {"name": head}})
    backbone = build_backbone(recipe.model, seed=0)
    folder.mkdir()
    write_model(
        folder,
        Classifier(backbone, make_heads(recipe, backbone.width, [0]).export(0)),
        preprocessing=Preprocessing.of(recipe.model),
        recipe=recipe,
        fingerprint="0123456789abcdef",
        origin=Origin(run="r", rank=1, trial="t", fold=0, head="warm", epoch=1, seed=0, differences={}),
        versions={},
    )
    return folder
