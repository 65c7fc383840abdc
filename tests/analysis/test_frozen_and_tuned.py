"""A promoted run shows its recipes frozen beside fine-tuned, and how far both orders agree."""

import json
import re
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import kendalltau
from sklearn.metrics import roc_auc_score

from analysis.findings import Findings
from analysis.ranking import order
from analysis.ranking.frozen_and_tuned import FrozenAndTuned
from analysis.ranking.recipes import recipe_texts
from analysis.report.build import report_page
from analysis.results import RankedResults
from analysis.screen import print_promoted
from analysis.tables.table import Table
from ichtune.data.store import SliceStore
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from tests.made_up.promotions import made_up_promotion

DOCUMENTED = Path(__file__).parents[2] / "docs" / "tables.md"
RATES = {"optimizer.lr": {"choice": [1e-5, 1e-4]}}


@pytest.fixture(scope="module")
def tuned(made_up: tuple[SliceStore, RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Six recipes spread over the 60 of the made-up run, each a little better fine-tuned; nobody writes into it."""
    return made_up_promotion(made_up[1], tmp_path_factory.mktemp("runs"), spread=6, gain=lambda _: 0.3)


@pytest.fixture(scope="module")
def results(tuned: RunFolder) -> RankedResults:
    return RankedResults.of(tuned)


@pytest.fixture
def copy(tuned: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of it for one test alone."""
    return RunFolder.open(shutil.copytree(tuned.path, tmp_path / "tuned"))


def table(run: RunFolder, name: str = "promoted", **chosen: str) -> Table:
    return next(one for one in RankedResults.of(run, **chosen).promoted.tables if one.name == name)


def by_sklearn(store: SliceStore, logits: np.ndarray, folds: int) -> float:
    """The AUC's mean over labels and the first folds."""
    areas = []
    for _, valid in store.fold_indices()[:folds]:
        both = [column for column in range(6) if 0 < store.labels[valid, column].mean() < 1]
        areas.append(np.mean([roc_auc_score(store.labels[valid, k], logits[valid, k]) for k in both]))
    return float(np.mean(areas))


def test_both_scores_are_those_of_the_two_runs_rankings(made_up, results):
    rows = results.promoted.tables[0].rows
    frozen = RankedResults.of(made_up[1]).table.set_index("trial")
    fine = results.table.set_index("trial")
    for row in rows.to_dict("records"):
        assert row["frozen_score"] == frozen.at[row["frozen_trial"], "score"]
        assert row["frozen_rank"] == frozen.at[row["frozen_trial"], "rank"]
        assert row["tuned_score"] == fine.at[row["tuned_trial"], "score"]
        assert row["difference"] == row["tuned_score"] - row["frozen_score"]
        assert (row["frozen_low"], row["frozen_high"]) == pytest.approx(
            tuple(frozen.loc[row["frozen_trial"], ["score_low", "score_high"]])
        )
        assert row["simultaneous_low"] <= row["difference_low"] <= row["difference"]
    assert rows["frozen_rank"].tolist() == [1, 13, 25, 36, 48, 60]
    assert sorted(rows["tuned_place"]) == [1, 2, 3, 4, 5, 6]


def test_a_difference_is_that_of_both_runs_in_one_ranking(made_up, tuned, results):
    """`--compare` pairs by patient, too: the difference of two trials there is the table's."""
    both = RankedResults.of(made_up[1], compare=tuned)
    row = results.promoted.tables[0].rows.iloc[0]
    places = [
        next(place for place, trial in enumerate(both.trials) if (trial.run.name, trial.name) == wanted)
        for wanted in (("made-up", row["frozen_trial"]), ("tuned", row["tuned_trial"]))
    ]
    assert both.scores is not None
    found = both.scores.differences(both.measured.index(places[0]))[both.measured.index(places[1])]
    assert row[["difference", "difference_low", "difference_high"]].tolist() == pytest.approx(found)


def test_tau_is_scipys_and_orders_that_differ_little_agree(results):
    promoted, agreement = results.promoted.tables
    tau = kendalltau(promoted.rows["frozen_score"], promoted.rows["tuned_score"]).statistic
    rows = agreement.rows.set_index("quantity")
    assert rows.at["measured", "tau"] == tau
    assert rows.at["true", "tau_low"] > 0
    assert "The frozen ranking predicts the fine-tuned one here" in results.promoted.verdict
    assert f"is {tau:.2f} (bootstrap over patients" in results.promoted.verdict


def test_a_frozen_ranking_that_fine_tuning_turns_round_misleads(made_up, tmp_path):
    order = [trial.short_name for trial in RankedResults.of(made_up[1]).trials]
    turned = made_up_promotion(
        made_up[1], tmp_path, spread=8, gain=lambda params: 0.06 * order.index(params["recipe"])
    )
    results = RankedResults.of(turned)
    assert results.promoted.tables[1].rows["tau"].iloc[0] < 0
    assert "The frozen ranking misleads here" in results.promoted.verdict


def test_on_fewer_folds_frozen_scores_are_taken_on_those_alone(made_up, tmp_path):
    store, frozen = made_up
    run = made_up_promotion(frozen, tmp_path, folds=2, top="4")
    found = table(run)
    for row in found.rows.to_dict("records"):
        logits = np.load(frozen.trials / row["frozen_trial"] / "out_of_fold.npy")
        assert row["frozen_score"] == pytest.approx(by_sklearn(store, logits, 2), abs=1e-3)
    assert any("frozen scores are on the 2 folds" in note for note in found.notes)
    assert any("these recipes have the best frozen scores of their run" in note for note in found.notes)


def test_a_run_with_fewer_folds_is_ranked_with_the_frozen_one_by_those_alone(made_up, tmp_path):
    store, frozen = made_up
    run = made_up_promotion(frozen, tmp_path, folds=2, spread=6)
    both = RankedResults.of(frozen, compare=run)
    for trial in both.trials:
        assert trial.score == pytest.approx(by_sklearn(store, trial.logits, 2), abs=1e-3)
    compared = both.ranked_table
    assert len(compared.rows) == 66
    assert compared.rows["difference_low"].notna().all()
    assert any("the 2 folds that both runs have (made-up has 5)" in note for note in compared.notes)


def test_of_one_fold_the_notes_say_what_its_epochs_were_chosen_on(made_up, tmp_path):
    found = table(made_up_promotion(made_up[1], tmp_path, folds=1, top="3"))
    assert any("frozen scores are on the one fold" in note for note in found.notes)
    assert any("fine-tuned epochs were chosen on the patients" in note for note in found.notes)


def test_of_several_fine_tuned_trials_each_fold_is_scored_by_the_best_on_the_others(made_up, tmp_path):
    run = made_up_promotion(made_up[1], tmp_path, top="3", changes=RATES)
    found = table(run)
    assert found.rows["tuned_trials"].tolist() == [2, 2, 2]
    assert any("the trial that is best on the other folds" in note for note in found.notes)
    trials = RankedResults.of(run).trials
    for row in found.rows.to_dict("records"):
        folds = [
            trial.scores.folds["auc"] for trial in trials if trial.record.params["recipe"] == row["recipe"]
        ]
        expected = [
            max(folds, key=lambda values: np.delete(values, fold).mean())[fold]
            for fold in range(len(folds[0]))
        ]
        assert row["tuned_score"] == pytest.approx(np.mean(expected))
        assert row["tuned_low"] < row["tuned_score"] < row["tuned_high"]


def test_a_choice_on_one_fold_is_said_to_be_too_good(made_up, tmp_path):
    found = table(made_up_promotion(made_up[1], tmp_path, top="3", folds=1, changes=RATES))
    assert any("not corrected for and too good" in note for note in found.notes)


def test_recipes_that_are_not_trained_yet_are_left_out_and_named(copy):
    first, second, *_ = sorted(copy.trials.glob("[0-9]*"))
    shutil.rmtree(first)
    (second / "epochs.jsonl").unlink()
    found = table(copy)
    assert found.rows["tuned_score"].isna().sum() == 2
    assert any("not trained yet, or diverged" in note for note in found.notes)
    assert "4 recipes" in table(copy, "agreement").caption


def test_a_diverged_recipe_has_no_fine_tuned_score(copy, monkeypatch):
    (number,) = [int(path.name[:4]) for path in copy.trials.glob("0000*")]
    ends = order.trial_ends
    monkeypatch.setattr(
        order,
        "trial_ends",
        lambda run: ends(run) | {number: TrialEnd.DIVERGED} if run.name == "tuned" else ends(run),
    )
    rows = table(copy).rows
    assert rows.loc[rows["tuned_score"].isna(), "ended"].tolist() == ["diverged"]


def test_recipes_that_were_not_trained_to_their_end_are_counted(copy, monkeypatch):
    ends = order.trial_ends
    cut = {0: TrialEnd.ASHA, 1: TrialEnd.ASHA, 2: TrialEnd.INTERRUPTED}
    monkeypatch.setattr(
        order, "trial_ends", lambda run: ends(run) | cut if run.name == "tuned" else ends(run)
    )
    [note] = [
        note for note in table(copy).notes if note.startswith("fine-tuned for fewer epochs than planned")
    ]
    assert set(note.rpartition(": ")[2].split(", ")) == {"2 asha", "1 interrupted"}


def test_two_recipes_have_no_order_to_compare(made_up, tmp_path):
    results = RankedResults.of(made_up_promotion(made_up[1], tmp_path, top="2"))
    assert [one.name for one in results.promoted.tables] == ["promoted"]
    assert results.promoted.verdict.startswith(
        "2 recipes have both a frozen and a fine-tuned score; comparing two orders"
    )


def test_a_metric_without_errors_has_a_tau_without_interval(tuned):
    results = RankedResults.of(tuned, metric="loss")
    assert results.promoted.tables[1].rows["quantity"].tolist() == ["measured"]
    assert "how certain that is can't be computed" in results.promoted.verdict


def test_another_metric_compares_both_runs_by_it(tuned):
    found = table(tuned, metric="weighted_log_loss")
    assert any("frozen ranks are by auc" in note for note in found.notes)
    assert (np.diff(found.rows["frozen_score"].to_numpy(float)) >= 0).all()


@pytest.fixture
def moved(made_up, tmp_path: Path) -> tuple[RunFolder, RunFolder]:
    """A frozen run that may be deleted, and one promoted from it."""
    frozen = RunFolder.open(shutil.copytree(made_up[1].path, tmp_path / "frozen"))
    return frozen, made_up_promotion(frozen, tmp_path, spread=4)


def test_the_table_needs_the_frozen_run_no_more(moved):
    frozen, run = moved
    before = RankedResults.of(run).promoted.tables
    shutil.rmtree(frozen.path)
    after = RankedResults.of(run).promoted.tables
    for one, other in zip(before, after, strict=True):
        assert one.rows.equals(other.rows)
        assert one.notes == other.notes


def test_a_frozen_run_that_was_searched_anew_since_is_not_taken_for_the_old_one(moved):
    frozen, run = moved
    before = table(run).rows
    for file in frozen.trials.glob("*/epochs.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line in lines:
            line["folds"]["auc"] = [0.5] * len(line["folds"]["auc"])
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert table(run).rows.equals(before)


def test_without_a_copy_and_without_the_frozen_run_a_note_says_what_is_missing(moved, ichtune):
    frozen, run = moved
    shutil.rmtree(frozen.path)
    (run.path / "promoted" / "search.yaml").unlink()
    code, output, _ = ichtune("rank", run.path)
    assert code == 0
    assert re.search(
        r"no table of frozen beside fine-tuned recipes: tuned kept no copy .*frozen is gone", output
    )
    assert RankedResults.of(run).promoted.tables == ()


def test_reruns_with_other_seeds_count_once_they_are_known(moved):
    frozen, run = moved
    assert any(
        "the seed noise of frozen and fine-tuned scores isn't known" in note
        for note in table(run, "agreement").notes
    )
    lines = [
        {"trial": trial.name, "seed": seed, "mean": {"auc": trial.score + shift}}
        for trial in RankedResults.of(frozen).trials[:2]
        for seed, shift in ((1, -0.01), (2, 0.01))
    ]
    (frozen.path / "seeds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = table(run, "agreement")
    assert any("the seed noise of fine-tuned scores isn't known" in note for note in found.notes)
    scores = table(run).rows["frozen_score"]
    # Two seeds 0.02 apart have a variance of 0.0002; Greiner's relation gives tau.
    expected = 2 / np.pi * np.arcsin(1 - 0.0002 / scores.var())
    tau = found.rows.set_index("quantity")["tau"]
    assert tau["frozen_reseeded"] == pytest.approx(expected)


def test_recipes_are_named_by_what_they_are_and_their_frozen_rank(results):
    for text, trial in zip(recipe_texts(results.ranking), results.trials, strict=True):
        assert re.match(rf"{trial.record.params['recipe']} \(frozen rank \d+\): ", text)
        assert trial.record.recipe.optimizer.name in text
        assert f"lr {trial.record.recipe.optimizer.lr:.3g}" in text


def test_other_runs_and_several_have_no_such_tables(made_up, tuned):
    assert RankedResults.of(made_up[1]).promoted.tables == ()
    assert RankedResults.of(made_up[1], compare=tuned).promoted.tables == ()
    ranking = RankedResults.of(made_up[1])
    assert FrozenAndTuned.of(ranking.ranking, ranking.store) is None


def test_files_screen_and_report_have_both_tables(copy):
    results = RankedResults.of(copy)
    names = {file.name for file in results.write(15)}
    assert {
        f"{name}.{kind}" for name in ("promoted", "agreement") for kind in ("csv", "json", "tex")
    } <= names
    written = json.loads((copy.results / "agreement.json").read_text())
    assert [row["quantity"] for row in written["rows"]][:2] == ["measured", "true"]
    screen = Console(file=StringIO(), width=80)
    print_promoted(results.promoted.tables, screen, known=results.ranked_table.notes)
    shown = screen.file.getvalue()
    assert "frozen beside fine-tuned" in shown
    assert shown.count(results.promoted.verdict) == 1
    assert max(map(len, shown.split("Kendall")[0].splitlines())) <= 80
    page = report_page(Findings(results), [])
    assert 'id="promoted"' in page
    assert "The frozen ranking predicts the fine-tuned one here" in page


def test_every_column_is_documented(results):
    text = DOCUMENTED.read_text()
    columns = [name for one in results.promoted.tables for name in one.rows.columns]
    assert [name for name in columns if f"`{name}`" not in text] == []
    quantities = results.promoted.tables[1].rows["quantity"]
    assert [name for name in quantities if f"`{name}`" not in text] == []
