"""Optuna's samplers for spaces that they can model, seeded, silent, and refused elsewhere."""

import importlib.util
import math
from statistics import median

import optuna
import pytest

from ichtune.errors import InputError
from ichtune.search import proposals as samplers
from ichtune.search.proposals import SAMPLERS, first_trials, make_sampler
from ichtune.space import Space, SpaceError

optuna.logging.set_verbosity(optuna.logging.WARNING)

BRANCHED = Space.load("quick")
RATE = {"loguniform": [1e-5, 1e-1]}
DECAY = {"loguniform": [1e-6, 1e-1]}
NUMBERS = Space.parse({"optimizer": {"name": "adam", "lr": RATE, "weight_decay": DECAY}}, "test")
MIXED = Space.parse(
    {
        "name": "m",
        "optimizer": {"name": "adam", "lr": RATE},
        "sampler": {"choice": ["shuffle", "oversample"]},
    },
    "test",
)
FINITE = Space.parse(
    {
        "loss": {"choice": [{"name": "bce"}, {"name": "focal", "gamma": {"choice": [1, 2]}}]},
        "points": {"flat": {"loss": {"name": "focal", "gamma": 2}}},
    },
    "finite",
)


def proposals(name: str, space: Space, seed: int, trials: int = 12) -> list[dict]:
    """What a sampler proposes when a rate of 1e-3 is best."""
    study = optuna.create_study(sampler=make_sampler(name, seed, space))
    proposed = []
    for _ in range(trials):
        trial = study.ask()
        proposed.append(space.suggest(trial))
        rate = next((value for key, value in proposed[-1].items() if key.endswith("lr")), 1.0)
        study.tell(trial, (math.log10(rate) + 3) ** 2)
    return proposed


@pytest.mark.parametrize(("name", "space"), [("tpe", BRANCHED), ("random", BRANCHED), ("gp", MIXED)])
def test_a_seed_decides_every_proposal(name: str, space: Space):
    assert proposals(name, space, seed=1) == proposals(name, space, seed=1)
    assert proposals(name, space, seed=1) != proposals(name, space, seed=2)


def late_miss(name: str, space: Space, trials: int) -> float:
    """How far, in powers of ten, the last ten proposals lie from the best rate (their median; chance: about 1)."""
    late = proposals(name, space, seed=0, trials=trials)[-10:]
    return median(abs(math.log10(params["optimizer.lr"]) + 3) for params in late)


@pytest.mark.parametrize(("name", "trials"), [("tpe", 60), ("gp", 20)])
def test_what_was_learned_is_used(name: str, trials: int):
    assert late_miss(name, MIXED, trials) < 0.5


@pytest.mark.parametrize(
    ("name", "space", "message"),
    [
        ("tpx", BRANCHED, "sampler: 'tpx' is not one of tpe, random, grid, gp, cmaes; did you mean 'tpe'?"),
        (
            "gp",
            BRANCHED,
            "sampler gp doesn't support branches, and optimizer.adam.lr exists only where optimizer is adam; "
            "use tpe, or fix optimizer (to adam, say)",
        ),
        (
            "cmaes",
            BRANCHED,
            "sampler cmaes doesn't support branches, and optimizer.adam.lr exists only where optimizer is adam; "
            "use tpe, or fix optimizer (to adam, say)",
        ),
        (
            "cmaes",
            MIXED,
            "sampler cmaes searches numeric parameters only, and sampler is a choice of shuffle | oversample; use tpe, "
            "or fix it, e.g. --set sampler=shuffle",
        ),
        (
            "cmaes",
            MIXED.changed({"sampler": "shuffle"}),
            "sampler cmaes needs at least two dimensions and m has fewer: use gp or tpe",
        ),
    ],
)
def test_a_sampler_refuses_a_space_that_it_cannot_model(name: str, space: Space, message: str):
    with pytest.raises(InputError) as caught:
        make_sampler(name, 0, space)
    assert str(caught.value) == message


def test_cmaes_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(samplers, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs the package cmaes: pip install cmaes"):
        make_sampler("cmaes", 0, NUMBERS)


@pytest.mark.skipif(importlib.util.find_spec("cmaes") is None, reason="needs the optional package cmaes")
def test_cmaes_searches_numbers():
    assert late_miss("cmaes", NUMBERS, 60) < 0.5


def test_the_grid_is_the_whole_search_with_its_points_by_name():
    assert list(first_trials("grid", FINITE)) == [
        ({"loss": "bce"}, None),
        ({"loss": "focal", "loss.focal.gamma": 1.0}, None),
        ({"loss": "focal", "loss.focal.gamma": 2.0}, "flat"),
    ]
    assert FINITE.count() == 3


def test_a_grid_without_end_is_refused():
    with pytest.raises(
        SpaceError, match=r"uniform 0\.\.0\.6 has infinitely many values; use quniform, choice or int"
    ):
        list(first_trials("grid", BRANCHED))


@pytest.mark.parametrize("name", sorted(SAMPLERS.keys() - {"grid"}))
def test_other_searches_begin_with_the_points(name: str):
    assert list(first_trials(name, FINITE)) == [({"loss": "focal", "loss.focal.gamma": 2.0}, "flat")]
