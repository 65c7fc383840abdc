"""What the plan says of the feature bank: in all, and for each network that the space asks for."""

from dataclasses import replace

import pytest
from rich.console import Console

from ichtune.bank.build import build
from ichtune.bank.networks import by_network, lines
from ichtune.bank.part import BankPart
from ichtune.bank.plan import plan_parts
from ichtune.commands.search_flow import print_plan
from ichtune.recipe import Model
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.space import Space

CNN = Model(backbone="cnn5", weights="random", size=32, widths=(4, 256))


def parts_of(store, *models: Model) -> list[BankPart]:
    return plan_parts(store, models, ["normal"], views=1, seed=0, precision="float32")


def test_a_single_network_needs_no_line_of_its_own(small_store):
    [part] = parts = parts_of(small_store, CNN)
    # cnn5 has twice as many features as its last stage has channels: 30 x 512 of two bytes each.
    assert lines(parts, {}) == [f"30 images, 30 KiB, 30 still to compute, in {part.bank}"]
    build(parts)
    assert lines(parts, {}) == [f"30 images, 30 KiB, all computed, in {part.bank}"]


def test_each_size_of_the_images_is_a_bank_of_its_own(small_store):
    parts = parts_of(small_store, CNN, resized(48))
    small, large = by_network(parts)
    whole, *each = lines(parts, {small: 300.0, large: 30.0})
    assert whole.startswith("60 images, 60 KiB, 60 still to compute in about 6 min, in ")
    assert each == [
        "cnn5, 32 pixels: 30 images, 30 KiB, 30 still to compute in about 5 min",
        "cnn5, 48 pixels: 30 images, 30 KiB, 30 still to compute in about 30 s",
    ]


def resized(size: int) -> Model:
    return CNN.model_copy(update={"size": size})


def test_a_time_is_given_for_the_whole_only_if_it_is_known_for_every_network(small_store):
    parts = parts_of(small_store, CNN, resized(48))
    first, _ = by_network(parts)
    whole, one, other = lines(parts, {first: 30.0})
    assert ["about" in line for line in (whole, one, other)] == [False, True, False]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"windows": ("40/80", "600/2800")}, ["cnn5, brain", "cnn5, brain and bone"]),
        ({"windows": ("41/82",)}, ["cnn5, brain", "cnn5, 41/82"]),
        ({"neighbours": 1}, ["cnn5", "cnn5, 1 neighbour on each side"]),
        ({"widths": (8, 8)}, ["cnn5, widths 4, 256", "cnn5, widths 8, 8"]),
        ({"backbone": "fcn", "widths": (4, 256)}, ["cnn5", "fcn"]),
    ],
)
def test_networks_are_named_by_what_differs_among_them(small_store, change, names):
    _, *each = lines(parts_of(small_store, CNN, CNN.model_copy(update=change)), {})
    assert [line.partition(":")[0] for line in each] == names


def test_the_plan_shows_every_bank_before_it_is_paid_for(small_store, tmp_path):
    model = {"backbone": "cnn5", "weights": "random", "size": {"choice": [32, 48]}, "widths": [4, 4]}
    space = Space.parse({"metric": "auc", "model": model}, "sizes.yaml")
    planned = plan(small_store.path, space, SearchSettings(runs=tmp_path))
    console = Console(record=True, width=300)
    print_plan(replace(planned, bank_seconds=dict.fromkeys(by_network(planned.parts), 90.0)), console)
    text = console.export_text()
    assert "2 combinations" in text
    assert "in about 3 min" in text
    assert "cnn5, 32 pixels: 30 images, 0 KiB, 30 still to compute in about 90 s" in text
    assert "cnn5, 48 pixels: " in text


def test_one_dimension_is_one(small_store, tmp_path):
    model = {"backbone": "cnn5", "weights": "random", "size": 32, "dropout": {"uniform": [0, 0.5]}}
    planned = plan(
        small_store.path,
        Space.parse({"metric": "auc", "model": model}, "one.yaml"),
        SearchSettings(runs=tmp_path),
    )
    console = Console(record=True, width=300)
    print_plan(planned, console)
    assert "space, 1 dimension, by auc" in console.export_text()
