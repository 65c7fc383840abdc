"""Plans of searches whose models read neighbouring slices."""

from pathlib import Path

import pytest

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.space import Space
from tests.made_up.dicom import write_rsna

SPACE = Space.parse(
    {"model": {"backbone": "resnet18", "weights": "random", "size": 32, "neighbours": 2}}, "neighbours"
)


@pytest.fixture
def store(tmp_path: Path) -> SliceStore:
    source = write_rsna(tmp_path / "source", patients=6, slices=3)
    return prepare(source, tmp_path / "store", PrepareOptions(size=32, folds=2)).store


def without_positions(store: SliceStore, rows: slice) -> None:
    table = store.table.copy()
    table.loc[table.index[rows], "z_mm"] = float("nan")
    table.to_parquet(store.path / "slices.parquet")


def test_a_plan_says_what_networks_see_and_which_slices_have_no_neighbours(store, tmp_path):
    settings = SearchSettings(runs=tmp_path, name="new", folds=2)
    seen = "5 channels (1 window of 5 slices); the first layer of resnet18, made for 3, is widened by its own weights"
    assert plan(store.path, SPACE, settings).inputs == seen
    without_positions(store, slice(0, 1))
    assert (
        plan(store.path, SPACE, settings).inputs
        == f"{seen}; 1 slice without a position stands in for neighbours"
    )


def test_neighbours_in_a_store_without_positions_are_refused_in_one_line(store, tmp_path):
    without_positions(store, slice(None))
    settings = SearchSettings(runs=tmp_path, name="new", folds=2)
    with pytest.raises(
        InputError, match=r"^model.neighbours: .*no slice has neighbours; use --set model.neigh"
    ) as refused:
        plan(store.path, SPACE, settings)
    assert "\n" not in str(refused.value)
    assert plan(store.path, SPACE.changed({"model.neighbours": 0}), settings).inputs == ""


def test_a_size_above_the_stores_is_said(small_store):
    space = Space.parse({"model": {"weights": "random", "size": {"choice": [32, 48]}}}, "larger")
    planned = plan(small_store.path, space, SearchSettings(folds=2))
    assert planned.inputs == "slices of 32 pixels, enlarged to 48 without more detail"
