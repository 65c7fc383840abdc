"""All that is told of a ranking stands in the run's folder, and its pictures in TensorBoard."""

import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from analysis.findings import Findings
from analysis.pictures.tensorboard_images import add_to_tensorboard
from analysis.results import RankedResults
from ichtune.runs.folder import RunFolder


@pytest.fixture(scope="module")
def findings(made_up, tmp_path_factory) -> Findings:
    """Those of a copy of the run."""
    folder = tmp_path_factory.mktemp("findings") / "made-up"
    shutil.copytree(made_up[1].path, folder)
    return Findings(RankedResults.of(folder))


@pytest.fixture(scope="module")
def written(findings) -> tuple[RunFolder, Sequence[Path]]:
    """The run with its findings, whose pictures went to TensorBoard twice, and the pictures."""
    run, pictures = findings.results.run, findings.write()
    add_to_tensorboard(run, pictures)
    return run, pictures


def test_every_table_is_written_in_six_formats(written):
    names = {file.name for file in written[0].results.iterdir() if file.is_file()}
    tables, formats = (
        ("ranked", "labels", "importance", "effects"),
        ("csv", "json", "xlsx", "md", "tex", "html"),
    )
    assert names >= {f"{table}.{suffix}" for table in tables for suffix in formats}


def test_importance_is_the_same_from_the_file_as_from_python(written, findings):
    table = pd.read_csv(written[0].results / "importance.csv").fillna("")
    pd.testing.assert_frame_equal(table, findings.importance, check_dtype=False)


def test_tensorboard_reads_every_picture_back_once(written):
    run, pictures = written
    board = EventAccumulator(str(run.trials / "pictures"), size_guidance={"images": 0}).Reload()
    assert sorted(board.Tags()["images"]) == sorted(f"search/{file.stem}" for file in pictures)
    for file in pictures:
        (event,) = board.Images(f"search/{file.stem}")
        with Image.open(io.BytesIO(event.encoded_image_string)) as shown, Image.open(file) as drawn:
            assert shown.size == drawn.size
            assert shown.convert("RGB").tobytes() == drawn.convert("RGB").tobytes()


def test_pictures_in_tensorboard_are_no_trials(written, made_up):
    assert len(list(written[0].trial_folders())) == len(list(made_up[1].trial_folders()))
