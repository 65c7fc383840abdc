"""Of the recipes that may be the best, the simplest is named."""

from analysis.ranking.order import Ranking
from analysis.ranking.simplest import Simplest, simplest
from analysis.ranking.single_changes import ablations


def test_the_baseline_is_the_simplest_of_all_recipes(made_up):
    trials = Ranking.of(made_up[1]).trials
    found = simplest(trials, range(len(trials)))
    assert found is not None
    assert found.trial.record.point == "baseline"
    assert str(found) == "the baseline itself"


def test_a_recipe_with_one_change_is_simpler_than_others(made_up):
    trials = Ranking.of(made_up[1]).trials
    changed = [trials.index(trial) for trial, _ in ablations(trials)[1:]]
    others = [place for place, trial in enumerate(trials) if trial.record.point != "baseline"]
    found = simplest(trials, others)
    assert found is not None
    assert found.changes >= 1
    assert not changed or trials.index(found.trial) in changed


def test_without_a_baseline_or_candidates_no_recipe_is_the_simplest(made_up):
    trials = Ranking.of(made_up[1]).trials
    assert simplest(trials, []) is None
    assert simplest([trial for trial in trials if not trial.record.point], [0]) is None


def test_one_change_is_named_in_the_singular(made_up):
    trial = Ranking.of(made_up[1]).best
    assert str(Simplest(trial, 1)).endswith("with 1 change to the baseline")
