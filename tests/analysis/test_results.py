"""A finished search is ranked by what its folder holds."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from analysis.results import RankedResults
from ichtune.errors import InputError
from tests.made_up.runs import made_up_run
from tests.made_up.stores import made_up_store

DOCUMENTED = Path(__file__).parents[2] / "docs" / "tables.md"


@pytest.fixture(scope="module")
def results(made_up) -> RankedResults:
    return RankedResults.of(made_up[1])


def test_trials_stand_by_their_score_best_first(results):
    scores = results.table["score"].to_numpy(float)
    assert (np.diff(scores) <= 0).all()
    assert results.table["rank"].tolist() == list(range(1, 61))


def test_a_score_is_scikit_learns_on_the_kept_predictions(results):
    store, trial = results.store, results.best
    areas = []
    for _, valid in store.fold_indices():
        both = [k for k in range(6) if 0 < store.labels[valid, k].mean() < 1]
        areas.append(np.mean([roc_auc_score(store.labels[valid, k], trial.logits[valid, k]) for k in both]))
    assert trial.score == pytest.approx(np.mean(areas), abs=1e-3)  # predictions are kept in half precision


def test_every_score_lies_in_its_interval_and_the_best_is_tied_with_itself(results):
    table = results.table
    assert ((table["score_low"] < table["score"]) & (table["score"] < table["score_high"])).all()
    assert bool(table["tied_with_best"].iloc[0])
    assert table["difference"].iloc[0] == 0
    assert ((table["rank_low"] <= table["rank"]) & (table["rank"] <= table["rank_high"])).all()


def test_a_recipe_that_learns_nothing_is_told_from_the_best(results):
    assert not results.table["tied_with_best"].iloc[-1]
    assert results.table["difference_high"].iloc[-1] < 0


def test_another_metric_ranks_the_same_kept_epochs_anew(made_up, results):
    again = RankedResults.of(made_up[1], metric="weighted_log_loss")
    assert (np.diff(again.table["score"].to_numpy(float)) >= 0).all()
    one = results.table.set_index("trial")["weighted_log_loss"]
    assert again.table.set_index("trial")["score"].to_dict() == one.to_dict()
    assert again.table["score_low"].notna().all()


def test_one_label_can_be_ranked_by_alone(made_up):
    results = RankedResults.of(made_up[1], label="subdural")
    folds = results.best.best_epoch.folds["auc_subdural"]
    assert results.best.score == pytest.approx(np.mean([value for value in folds if value is not None]))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"metric": "aucc"}, "--metric: 'aucc' is not one of .*did you mean 'auc'"),
        ({"label": "subdura"}, "--label: 'subdura' is not one of .*did you mean 'subdural'"),
        ({"metric": "f1", "label": "any"}, "f1 is not recorded by label, but auc and average_precision are"),
    ],
)
def test_a_metric_that_was_not_recorded_is_refused_with_those_that_were(made_up, asked, message):
    with pytest.raises(InputError, match=message):
        RankedResults.of(made_up[1], **asked)


def test_the_recipes_own_loss_ranks_without_intervals(made_up):
    results = RankedResults.of(made_up[1], metric="loss")
    assert results.table["score_low"].isna().all()
    assert any("its own scale" in note for note in results.ranked_table.notes)


def test_two_searches_over_one_store_stand_in_one_table(made_up, tmp_path):
    store, run = made_up
    other = made_up_run(tmp_path, store, 5, name="other", seed=1)
    table = RankedResults.of(run, compare=other).table
    assert len(table) == 65
    assert table["run"].value_counts().to_dict() == {"made-up": 60, "other": 5}
    assert (np.diff(table["score"].to_numpy(float)) <= 0).all()


def test_a_search_over_another_store_is_refused(made_up, tmp_path):
    other = made_up_run(tmp_path, made_up_store(tmp_path / "store", 300), 2, name="other")
    with pytest.raises(InputError, match=r"--compare: .* used another store"):
        RankedResults.of(made_up[1], compare=other)


def test_no_skill_has_half_the_area_and_its_rows_name_the_defined_labels(results):
    assert results.no_skill["trial"].tolist() == ["always negative", "prevalence", "position"]
    assert results.no_skill["score"].tolist()[:2] == [0.5, 0.5]
    assert (results.no_skill["defined_labels"] <= 6).all()


def test_every_column_is_documented(results, made_up):
    documented = set(re.findall(r"`(\w+)`", DOCUMENTED.read_text()))
    columns = [name for name in results.table.columns if name not in results.varying]
    assert set(columns) <= documented
    assert set(results.by_label([0]).columns) <= documented


def test_the_labels_of_a_trial_have_the_patients_behind_them(results):
    rows = results.by_label([0]).set_index("label")
    table = results.store.table
    positive = table[(table["split"] == "train") & (table["subdural"] == 1)]
    assert rows.at["subdural", "positive_patients"] == positive["patient_id"].nunique()
    assert rows.at["any", "auc_low"] < rows.at["any", "auc"] < rows.at["any", "auc_high"]


def test_people_see_as_many_digits_as_the_errors_support(results):
    table = results.ranked_table
    error = np.median(results.scores.errors)
    assert 0.01 < error < 0.1  # so two digits of it are three decimals
    assert re.fullmatch(r"0\.\d{3}", table.human["auc"].iloc[0])
    assert len(str(table.rows["score"].iloc[0])) > 10


def test_what_must_be_known_stands_in_the_notes(results):
    notes = "\n".join(results.ranked_table.notes)
    assert re.search(r"\d+ of the other 59 trials (is|are) indistinguishable from the best", notes)
    assert "corrected for selecting the best of 60" in notes
    assert "2,080 slices of 60 patients" in notes
    assert "prevalence in train / test" in notes


def test_a_recipe_trained_anew_is_less_certain_than_its_models(results):
    table = results.table
    assert (table["anew_low"] <= table["score_low"]).all()
    assert (table["anew_high"] >= table["score_high"]).all()
    low, high = table[["anew_low", "anew_high"]].iloc[0]
    note = f"for the best recipe trained anew on other patients: {low:.3f} to {high:.3f}"
    assert note in "\n".join(results.ranked_table.notes)


def test_both_kinds_of_average_precision_are_in_the_ranking(made_up, results):
    table = results.table
    assert list(table.columns).index("pooled_average_precision") == (
        list(table.columns).index("average_precision") + 1
    )
    values, low, high = (table[f"pooled_average_precision{end}"] for end in ("", "_low", "_high"))
    assert ((low < values) & (values < high)).all()
    assert not [note for note in results.ranked_table.notes if "pooled" in note]
    again = RankedResults.of(made_up[1], metric="average_precision")
    (note,) = (note for note in again.ranked_table.notes if "pooled" in note)
    assert f"the best trial's is {again.table['pooled_average_precision'].iloc[0]:.3f}" in note


def test_a_ranking_by_one_labels_average_precision_pools_that_label(made_up):
    by_label = RankedResults.of(made_up[1], metric="average_precision", label="any")
    pooled = by_label.by_label([0]).set_index("label").at["any", "pooled_average_precision"]
    assert by_label.table["pooled_average_precision"].iloc[0] == pytest.approx(pooled)


def test_seeds_that_vary_more_than_folds_widen_the_interval_of_every_recipe_trained_anew(made_up_copy):
    results = RankedResults.of(made_up_copy)
    before = results.table
    again = [
        json.dumps({"trial": results.best.name, "seed": seed, "mean": {"auc": auc}})
        for seed, auc in enumerate((0.55, 0.75, 0.95))
    ]
    (results.run.path / "seeds.jsonl").write_text("\n".join(again) + "\n")
    table = RankedResults.of(made_up_copy).table
    assert (table["anew_low"] < before["anew_low"]).all()
    assert (table["anew_high"] > before["anew_high"]).all()


def test_a_single_fold_says_nothing_about_training_anew(tmp_path):
    run = made_up_run(tmp_path / "runs", made_up_store(tmp_path / "store", 1200, folds=1), 3)
    results = RankedResults.of(run)
    assert results.table["score_low"].notna().all()
    assert results.table[["anew_low", "anew_high"]].isna().all(axis=None)
    assert "which takes several folds or --seeds to know" in "\n".join(results.ranked_table.notes)


def test_trials_without_predictions_are_ranked_without_an_interval(made_up_copy):
    first = RankedResults.of(made_up_copy).best.record.folder
    (first / "out_of_fold.npy").unlink()
    table = RankedResults.of(made_up_copy).table
    assert pd.isna(table["score_low"].iloc[0])
    assert table["score_low"].iloc[1:].notna().all()


def test_predictions_with_a_flipped_bit_are_named(made_up_copy):
    file = RankedResults.of(made_up_copy).best.record.folder / "out_of_fold.npy"
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        InputError, match=r"out_of_fold.npy: damaged \(its checksum differs\); remove it to rank"
    ):
        _ = RankedResults.of(made_up_copy).table


def test_code_in_a_run_from_somebody_else_is_not_run_but_told(made_up_copy, tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    file = RankedResults.of(made_up_copy).best.record.folder / "out_of_fold.npy"
    (file.parent / "sha256sums").unlink()  # whoever writes the trap would
    np.save(file, np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"out_of_fold.npy: damaged"):
        _ = RankedResults.of(made_up_copy).table
    assert not (tmp_path / "sprung").exists()
