"""A search small enough for tests: thirty slices of 32 x 32 and two epochs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ichtune.bank.build import build
from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import Plan, plan
from ichtune.search.trial import TrialJob
from ichtune.space import Space
from tests.made_up.records import new_run
from tests.made_up.spaces import SMALL


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """Ray takes the machine for one of one core, and starts as few processes: each of them imports torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 1}')
        yield


@pytest.fixture
def small_space() -> Space:
    return Space.parse(SMALL, "small.yaml")


@pytest.fixture(scope="session")
def banked(prepared: SliceStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the features that searches in the small space ask for."""
    store = Path(shutil.copytree(prepared.path, tmp_path_factory.mktemp("banked") / "store"))
    build(plan(store, Space.parse(SMALL, "small.yaml"), SearchSettings(folds=3, views=2)).parts)
    return store


@pytest.fixture
def banked_store(banked: Path, tmp_path: Path) -> Path:
    """A copy of it for one test alone."""
    return Path(shutil.copytree(banked, tmp_path / "banked_store"))


@pytest.fixture
def small_plan(banked_store: Path, small_space: Space, tmp_path: Path) -> Plan:
    """A plan whose bank is built already."""
    settings = SearchSettings(trials=4, name="try", runs=tmp_path / "runs", folds=3, views=2)
    return plan(banked_store, small_space, settings)


@pytest.fixture
def small_job(small_plan: Plan) -> tuple[TrialJob, RunFolder]:
    """What the trials of a new run are given, and the run."""
    run = new_run(small_plan.run, small_plan.request)
    return TrialJob(small_plan.experiment, small_plan.space, run, threads=1), run
