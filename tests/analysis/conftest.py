"""A finished search made up: 60 trials on 2,500 slices of 72 patients, without Ray and without training."""

import shutil
from pathlib import Path

import pytest

from benchmarks.made_up_run import made_up_run, made_up_store
from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[SliceStore, RunFolder]:
    """The store and the run; nobody writes into them."""
    folder = tmp_path_factory.mktemp("made-up")
    store = made_up_store(folder / "store", 2500)
    return store, made_up_run(folder / "runs", store, 60)


@pytest.fixture
def made_up_copy(made_up: tuple[SliceStore, RunFolder], tmp_path: Path) -> RunFolder:
    """A copy of the run for one test alone."""
    return RunFolder(Path(shutil.copytree(made_up[1].path, tmp_path / made_up[1].name)))
