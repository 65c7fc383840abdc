"""What a value is worth is told in the score's own units, with intervals that hold the truth."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.hyperparameters.branches import Rung
from analysis.hyperparameters.effects import effects
from ichtune.space import Space
from tests.made_up.rankings import ADAM, run_by_hand, searched

RATE = {"loguniform": [1e-5, 1e-2]}


def of(table: pd.DataFrame, parameter: str) -> pd.DataFrame:
    return table[table["parameter"] == parameter].set_index("value")


def test_a_choice_that_adds_a_tenth_has_effects_a_tenth_apart(tmp_path: Path):
    space = Space.parse(
        {"sampler": {"choice": ["shuffle", "oversample"]}, "optimizer": {"name": "adam", "lr": RATE}}, "s"
    )
    trials = [
        ({"sampler": sampler, "optimizer.lr": rate}, [0.5 + 0.1 * (sampler == "oversample") + 20 * rate] * 2)
        for sampler, rate in product(("shuffle", "oversample"), np.geomspace(1e-5, 1e-2, 40).tolist())
    ]
    told = of(effects(Rung.of(run_by_hand(tmp_path / "run", space, trials))), "sampler")
    assert told["effect"]["oversample"] - told["effect"]["shuffle"] == pytest.approx(0.1, abs=0.005)
    assert told["trials"].tolist() == [40, 40]


def test_a_rates_curve_is_highest_near_the_best_rate(tmp_path: Path):
    curve = of(effects(Rung.of(searched(tmp_path / "run", ADAM, 100))), "optimizer.lr")
    assert curve["trials"].tolist() == [13, 13, 13, 13, 12, 12, 12, 12]
    assert 3e-4 < curve["effect"].idxmax() < 3e-3
    assert (curve["low"] < curve["effect"]).all()
    assert (curve["effect"] < curve["high"]).all()
    assert (
        curve["effect"].max() - curve["effect"].min() > 0.15
    )  # 0.07 of the off ** 2 of two powers of ten is 0.28


def test_intervals_hold_the_truth_in_most_searches(tmp_path: Path):
    # The mean quality of the space: 1, less 0.35 times the mean square of what is even from -2 to 1, which is 1.
    levels = {"normal": 0.0, "moderate": 0.15, "aggressive": 0.05}
    rest = 1 - 0.35
    truth = {
        "loss": {"bce": rest + 0.2 / 3, "focal": rest + 0.2 / 3 + 0.25},
        "sampler": dict.fromkeys(("shuffle", "oversample"), rest + 0.2 / 3 + 0.125),
        "augmentation": {level: rest + 0.125 + gain for level, gain in levels.items()},
    }
    held = []
    for seed in range(4):
        table = effects(Rung.of(searched(tmp_path / f"{seed}", ADAM, 60, seed=seed)))
        for parameter, values in truth.items():
            told = of(table, parameter)
            scores = pd.Series({value: 1 + quality / 5 for value, quality in values.items()})
            held += ((told["low"] <= scores) & (scores <= told["high"])).tolist()
    assert np.mean(held) > 0.8


def test_a_table_comes_out_the_same_again(tmp_path: Path):
    results = searched(tmp_path / "run", ADAM, 30)
    pd.testing.assert_frame_equal(effects(Rung.of(results)), effects(Rung.of(results)))


def test_every_kind_of_value_has_its_own_rows(tmp_path: Path):
    space = Space.parse(
        {
            "loss": {"name": "focal", "alpha": {"choice": [0.25, None]}},
            "optimizer": {
                "name": "sgd",
                "momentum": {"quniform": [0.5, 0.9, 0.1]},
                "nesterov": {"choice": [False, True]},
            },
            "training": {"batch_size": {"logint": [8, 64]}, "epochs": {"int": [2, 4]}},
        },
        "kinds",
    )
    results = searched(tmp_path / "run", space, 60)
    for trial in results.trials:
        trial.record.params["forgotten"] = 1  # what the space does not have is passed over
    table = effects(Rung.of(results))
    assert of(table, "loss.alpha").index.tolist() == ["0.25", "null"]
    assert of(table, "optimizer.nesterov").index.tolist() == ["false", "true"]
    assert of(table, "optimizer.momentum").index.tolist() == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert of(table, "training.epochs").index.tolist() == [2, 3, 4]
    assert len(of(table, "training.batch_size")) == 6
    assert (table.groupby("parameter")["trials"].sum() == 60).all()
