"""What of a recipe did nothing is pointed at."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis.ranking.idle import idle_knobs
from analysis.ranking.trial import RankedTrial
from analysis.results import RankedResults
from ichtune.recipe import Recipe
from ichtune.runs.ends import TrialEnd
from ichtune.runs.records import TrialRecord
from tests.made_up.records import epoch


def trial(number: int, *, rates=(1e-3, 1e-3), mix=0.1, losses=None, **recipe) -> RankedTrial:
    """Two epochs of a trial on two folds."""
    losses = losses or [0.5 + number, 0.4 + number]
    epochs = [
        epoch(place, {"train_loss": loss}, lr=[rate] * 2, mean_lr=[rate] * 2, class_mix=[[mix] * 6] * 2)
        for place, (rate, loss) in enumerate(zip(rates, losses, strict=True), 1)
    ]
    record = TrialRecord(Path(f"{number:04d}"), number, {}, Recipe.parse(recipe, "here"), "", None, epochs)
    return RankedTrial(SimpleNamespace(), record, "auc", "auc", TrialEnd.LAST_EPOCH)


def test_a_schedule_that_never_stepped_is_pointed_at():
    step = {"schedule": {"name": "step", "every": 1}}
    still, moved = idle_knobs(
        [trial(0, **step), trial(1, rates=(1e-3, 1e-4), augmentation="moderate", **step)]
    )
    assert still == "step never stepped in 2 epochs: the rate stayed 0.001"
    assert moved == ""


def test_oversampling_that_drew_what_shuffling_draws_is_pointed_at():
    acted = trial(2, sampler="oversample", mix=0.5, augmentation="moderate")
    notes = idle_knobs([trial(0), trial(1, sampler="oversample"), acted])
    assert notes == ["", "oversampling drew the classes as they are", ""]


def test_two_names_for_one_recipe_are_pointed_at():
    focal = {"loss": {"name": "focal", "gamma": 0, "alpha": None}}
    seeded = {"training": {"seed": 3}}
    assert idle_knobs([trial(0), trial(1, **focal), trial(2, **seeded)]) == [
        "",
        "the recipe of 0000",
        "the recipe of 0000",
    ]


def test_recipes_that_trained_exactly_alike_name_what_did_nothing():
    alike = {"losses": [0.5, 0.4]}
    notes = idle_knobs([trial(0, **alike), trial(1, augmentation="moderate", **alike)])
    assert notes[1] == "trained exactly as 0000: augmentation did nothing"


def test_recipes_that_part_after_the_first_epoch_are_no_twins():
    apart = trial(1, augmentation="moderate", losses=[0.5, 0.3])
    assert idle_knobs([trial(0, losses=[0.5, 0.4]), apart]) == ["", ""]


def test_made_up_trials_with_a_rule_of_their_own_are_left_alone(made_up):
    notes = RankedResults.of(made_up[1]).table["note"]
    assert set(notes) == {""} or notes[notes != ""].str.contains("never stepped").all()


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_a_trial_of_one_epoch_has_had_no_time_to_step(name):
    record = trial(0, schedule={"name": name}).record
    one = TrialRecord(**{**vars(record), "epochs": record.epochs[:1]})
    assert idle_knobs([RankedTrial(SimpleNamespace(), one, "auc", "auc", TrialEnd.ASHA)]) == [""]
