"""Stores and runs small enough for tests, and the command line."""

import os
import shutil
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder
from tests.made_up.dicom import write_rsna

# What is tested is too small for threads, which cost each step more than they save. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run.
settings.register_profile("seeded", derandomize=True)
settings.load_profile("seeded")

SHARED = Path(os.environ.get("ICHTUNE_TEST_DATA", Path(__file__).parents[2] / "shared"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of the longest time limits first, so that none of them is left to the end of a run on several cores."""
    longest: dict[Path, float] = {}
    for item in items:
        for mark in item.iter_markers("timeout"):
            longest[item.path] = max(longest.get(item.path, 0), *mark.args)
    items.sort(key=lambda item: -longest.get(item.path, 0))


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """In this process nothing has to survive a power cut, and a journal spends most of its time on waiting for that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def ct_ich() -> Path:
    """The real CT-ICH slices."""
    folder = SHARED / "data" / "ct-ich"
    if not folder.is_dir():
        pytest.skip(f"needs the CT-ICH slices at {folder} (ICHTUNE_TEST_DATA names another place)")
    return folder


@pytest.fixture(scope="session")
def rsna_maker() -> Path:
    """The script that writes CT-ICH slices as an RSNA-like DICOM set with planted quirks."""
    script = SHARED / "tools" / "make_rsna_dicom.py"
    if not script.is_file():
        pytest.skip(f"needs the script at {script} (ICHTUNE_TEST_DATA names another place)")
    return script


@pytest.fixture
def rsna_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes an RSNA-like folder; takes what `write_rsna` takes."""
    return lambda **settings: write_rsna(tmp_path / "rsna", **settings)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> SliceStore:
    """Thirty slices of ten patients, 32 x 32; nobody writes into it."""
    folder = tmp_path_factory.mktemp("prepared")
    options = PrepareOptions(size=32, folds=3, workers=1)
    return prepare(write_rsna(folder / "rsna", size=32), folder / "store", options).store


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> SliceStore:
    """Another store, of other pixels: 24 slices of eight patients, 32 x 32; nobody writes into it."""
    folder = tmp_path_factory.mktemp("other")
    options = PrepareOptions(size=32, folds=2, workers=1, seed=5)
    return prepare(write_rsna(folder / "rsna", size=40, patients=8), folder / "other", options).store


@pytest.fixture
def small_store(prepared: SliceStore, tmp_path: Path) -> SliceStore:
    """A copy of the prepared store for one test alone."""
    return SliceStore.open(shutil.copytree(prepared.path, tmp_path / "small_store"))


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[SliceStore, RunFolder]:
    """A store and a finished search of 60 trials on 2,500 slices of 72 patients, made up; nobody writes into them."""
    from tests.made_up.runs import made_up_run  # which takes seconds to import
    from tests.made_up.stores import made_up_store

    folder = tmp_path_factory.mktemp("made-up")
    store = made_up_store(folder / "store", 2500)
    return store, made_up_run(folder / "runs", store, 60)


@pytest.fixture
def made_up_copy(made_up: tuple[SliceStore, RunFolder], tmp_path: Path) -> RunFolder:
    """A copy of the run for one test alone."""
    return RunFolder(Path(shutil.copytree(made_up[1].path, tmp_path / made_up[1].name)))


@pytest.fixture
def ichtune(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs a command as `ichtune` does, without another process's imports: exit code, output, errors."""
    from ichtune.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ichtune", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def little_memory() -> Iterator[None]:
    """No more than 16 MiB are taken by what Python and NumPy allocate."""
    tracemalloc.start()
    yield
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
