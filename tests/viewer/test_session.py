"""The model reads each series of a study as the scan that it is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ichtune.inference.trained_model import TrainedModel
from ichtune.viewer.folder import read_folder
from ichtune.viewer.session import Session
from ichtune.viewer.study import MIB
from tests.made_up.models import RECIPE, write_model_folder
from tests.made_up.viewers import write_scan_reader, write_steps

WITH_NEIGHBOURS = RECIPE.model_copy(update={"model": RECIPE.model.model_copy(update={"neighbours": 1})})
MODELS: dict[str, Callable[[Path], Path]] = {
    "slices": lambda folder: write_model_folder(folder),
    "neighbours": lambda folder: write_model_folder(folder, WITH_NEIGHBOURS),
    "scans": lambda folder: write_scan_reader(folder, RECIPE, "gru"),
}


def answers(model: TrainedModel, folder: Path) -> list[np.ndarray]:
    """The probabilities of every series in a folder, in the order of their first slices' HU."""
    session = Session(model, 64 * MIB)
    opened = session.show(read_folder(folder, 64 * MIB, lambda done, total, remark: None))
    series = sorted(range(len(opened.study.scans)), key=lambda one: opened.pixels(one, 0)[9, 9])
    return [opened.probabilities(one) for one in series]


@pytest.mark.parametrize("kind", MODELS)
def test_a_series_has_the_same_answers_alone_and_beside_another(tmp_path: Path, kind: str):
    model = TrainedModel.open(MODELS[kind](tmp_path / "model"))
    alone = answers(model, write_steps(tmp_path / "one", 6, SeriesInstanceUID="1.1"))[0]
    write_steps(tmp_path / "two" / "z", 6, SeriesInstanceUID="1.1")
    write_steps(tmp_path / "two" / "a", 4, SeriesInstanceUID="1.0", RescaleIntercept=3)
    both = answers(model, tmp_path / "two")
    assert [len(found) for found in both] == [6, 4]
    np.testing.assert_allclose(both[0], alone, atol=1e-6)


@pytest.mark.parametrize("kind", ["neighbours", "scans"])
def test_the_slices_around_a_slice_count_for_models_that_see_them(tmp_path: Path, kind: str):
    model = TrainedModel.open(MODELS[kind](tmp_path / "model"))
    whole = answers(model, write_steps(tmp_path / "whole", 6))[0]
    write_steps(tmp_path / "part", 6)
    (tmp_path / "part" / "01.dcm").unlink()  # the last slice, at the head
    part = answers(model, tmp_path / "part")[0]
    assert np.abs(part[4] - whole[4]).max() > 1e-6
