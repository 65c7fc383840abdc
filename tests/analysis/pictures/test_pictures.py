import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from ray.tune.schedulers import AsyncHyperBandScheduler
from scipy.special import expit
from sklearn.calibration import calibration_curve

from analysis.pictures.auc_by_label import labels
from analysis.pictures.curves import curves, rungs
from analysis.pictures.epochs_saved import saved, saved_share
from analysis.pictures.folds import folds
from analysis.pictures.gallery import draw
from analysis.pictures.importance_bars import importance
from analysis.pictures.knobs import varying
from analysis.pictures.metric import Metric
from analysis.pictures.parallel import LEFT_OUT, parallel
from analysis.pictures.reliability import calibration, reliability
from analysis.pictures.search_progress import progress
from analysis.pictures.slices import slices
from analysis.pictures.style import paper, save
from analysis.pictures.words import number, shortened, strips, wrapped
from analysis.results import RankedResults
from ichtune.labels import LABELS
from ichtune.recipe import Recipe
from ichtune.runs.fold_scores import FoldScores
from ichtune.runs.records import EpochRecord, TrialRecord
from ichtune.space import Space
from tests.made_up.records import epoch as record_of_epoch
from tests.made_up.runs import made_up_run
from tests.made_up.stores import made_up_store

NINE = ("progress", "curves", "slices", "parallel", "importance", "labels", "folds", "saved", "reliability")
SPACE = Space.parse(
    {
        "metric": "auc",
        "model": {"dropout": {"uniform": [0.0, 0.5]}},
        "loss": {"choice": [{"name": "bce"}, {"name": "focal", "alpha": {"choice": [0.25, None]}}]},
        "optimizer": {
            "choice": [
                {"name": "adam", "lr": {"loguniform": [1e-5, 1e-2]}},
                {"name": "sgd", "lr": 0.1, "nesterov": {"choice": [True, False]}, "momentum": 0.9},
            ]
        },
    },
    "test",
)


@dataclass
class Trial:
    """What a picture asks of a ranked trial."""

    record: TrialRecord
    ended: str
    metric: str
    maximised: bool
    logits: None = None

    @property
    def diverged(self) -> bool:
        return self.ended == "diverged"

    @property
    def best_epoch(self) -> EpochRecord:
        return self.record.best_epoch(self.metric)

    @property
    def scores(self) -> FoldScores:
        return FoldScores.of(self.record.epochs, self.metric)

    @property
    def score(self) -> float:
        value = self.best_epoch.mean[self.metric]
        return (-np.inf if self.maximised else np.inf) if np.isnan(value) else value


def trial(
    number: int,
    scores: Iterable[float | None],
    *,
    ended: str = "last epoch",
    epochs: int = 12,
    params: dict[str, Any] | None = None,
    metric: str = "auc",
    point: str | None = None,
    name: str = "focal-adam",
) -> Any:
    """A trial with these scores, an epoch each; its folds lie 0.01 below and above."""
    records = [
        record_of_epoch(place, {metric: score}, folds={metric: [score - 0.01, score + 0.01]})
        for place, score in enumerate((np.nan if score is None else score for score in scores), 1)
    ]
    record = TrialRecord(
        folder=Path(f"{number:04d}-{point or name}"),
        number=number,
        params=params or {},
        recipe=Recipe.parse({"training": {"epochs": epochs}}, "made up"),
        recipe_hash=str(number),
        point=point,
        epochs=records,
    )
    return Trial(record, ended, metric, metric != "weighted_log_loss")


def ranked(trials: list[Any]) -> list[Any]:
    sign = -1 if trials[0].maximised else 1
    return sorted(trials, key=lambda one: (one.diverged, sign * one.score))


def line(figure: Figure, label: str) -> Any:
    """The first line of that label."""
    return next(found for found in figure.axes[0].lines if found.get_label() == label)


def texts(figure: Figure) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.fixture(scope="module")
def gallery(made_up, tmp_path_factory) -> tuple[RankedResults, list[Path]]:
    """All nine pictures of the finished search."""
    results = RankedResults.of(made_up[1])
    folder = tmp_path_factory.mktemp("pictures")
    return results, drawn(results, folder, **tables(results))


def drawn(results: RankedResults, folder: Path, **tables: pd.DataFrame | None) -> list[Path]:
    """The pictures of a ranking with these tables."""
    return draw(
        results.ranking,
        folder,
        truth=results.store.labels,
        certain=results.certain,
        no_skill=results.no_skill,
        **tables,
    )


def tables(results: RankedResults) -> dict[str, pd.DataFrame]:
    importances = [
        ("optimizer", "", 60, 0.5, 0.1, 0.2),
        ("optimizer.adam.lr", "optimizer is adam", 9, np.nan, np.nan, np.nan),
    ]
    effects = [
        ("optimizer", "adam", 0.7, 0.6, 0.8),
        ("model.dropout", 0.0, 0.7, 0.6, 0.8),
        ("model.dropout", 0.6, 0.6, 0.5, 0.7),
    ]
    areas = [(results.best.record.folder.name, label, 0.8, 0.7, 0.9, 12) for label in LABELS]
    return {
        "importance": pd.DataFrame(
            importances, columns=["parameter", "branch", "trials", "importance", "deviation", "chance"]
        ),
        "effects": pd.DataFrame(effects, columns=["parameter", "value", "effect", "low", "high"]),
        "by_label": pd.DataFrame(
            areas, columns=["trial", "label", "auc", "auc_low", "auc_high", "positive_patients"]
        ),
    }


def test_each_of_the_nine_pictures_is_a_png_and_an_svg(gallery):
    assert {file.name for file in gallery[1]} == {
        f"{name}.{kind}" for name in NINE for kind in ("png", "svg")
    }


def test_pictures_are_as_wide_as_a_page_at_150_dots_an_inch_and_small(gallery):
    for file in gallery[1]:
        assert file.stat().st_size < 300_000
        if file.suffix == ".png":
            with Image.open(file) as image:
                assert image.width == 7 * 150
                assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)


def test_an_svg_refers_to_nothing_outside_itself(gallery):
    for file in gallery[1]:
        if file.suffix == ".svg":
            tree = ElementTree.parse(file)
            found = [
                value for node in tree.iter() for name, value in node.attrib.items() if name.endswith("href")
            ]
            assert found, file
            assert all(value.startswith(("#", "data:image/png;base64,")) for value in found), file
            assert not re.findall(r"url\((?!#)|<script|@import", file.read_text()), file


def test_the_same_search_gives_the_same_bytes(gallery, tmp_path):
    results, files = gallery
    knobs = varying(results.run.request.space.dimensions, results.trials)
    again = save(progress(results.trials), tmp_path, "progress")
    again += save(parallel(results.trials, knobs), tmp_path, "parallel")
    before = {file.name: file.read_bytes() for file in files}
    assert all(before[file.name] == file.read_bytes() for file in again)


def test_nothing_of_one_picture_stays_behind_in_matplotlib():
    import matplotlib

    before = dict(matplotlib.rcParams)
    progress([trial(0, [0.6])])
    assert dict(matplotlib.rcParams) == before


def test_the_best_so_far_is_the_running_maximum_in_the_order_of_the_trials():
    given = [
        trial(0, [0.6]),
        trial(1, [0.5]),
        trial(2, [0.9], ended="diverged"),
        trial(3, [0.7]),
        trial(4, [0.65]),
    ]
    x, y = line(progress(ranked(given)), "best so far").get_data()
    assert list(x) == [0, 1, 2, 3, 4]
    assert list(y) == [0.6, 0.6, 0.6, 0.7, 0.7]


def test_of_a_loss_the_best_so_far_is_the_smallest():
    given = [trial(n, [loss], metric="weighted_log_loss") for n, loss in enumerate([0.4, 0.5, 0.2])]
    assert list(line(progress(ranked(given)), "best so far").get_ydata()) == [0.4, 0.4, 0.2]


def test_the_legend_counts_how_trials_ended_and_points_are_named():
    given = [
        trial(0, [0.6], point="baseline"),
        trial(1, [0.5], ended="asha"),
        trial(2, [None], ended="diverged"),
    ]
    said = texts(progress(ranked(given)))
    for words in ("all epochs (1)", "stopped by ASHA (1)", "diverged (1)", "baseline"):
        assert words in said


@pytest.mark.parametrize("grace", [1, 2, 3, 5])
@pytest.mark.parametrize("reduction", [1.5, 2, 2.5, 3, 4])
@pytest.mark.parametrize("epochs", [1, 2, 8, 12, 27, 100])
def test_rungs_are_the_epochs_at_which_rays_own_scheduler_compares_trials(grace, reduction, epochs):
    grace = min(grace, epochs)
    ray = AsyncHyperBandScheduler(
        time_attr="epoch",
        metric="x",
        mode="max",
        max_t=epochs,
        grace_period=grace,
        reduction_factor=reduction,
    )
    first = {
        next(epoch for epoch in range(1, epochs + 1) if epoch >= milestone)
        for milestone, _ in ray._brackets[0]._rungs
    }
    assert rungs(grace=grace, reduction=reduction, epochs=epochs) == sorted(first - {epochs})


def test_rungs_of_two_epochs_with_a_third_each_worked_by_hand():
    assert rungs(grace=2, reduction=3, epochs=30) == [2, 6, 18]


def test_learning_curves_are_the_scores_of_the_best_at_each_epoch():
    given = ranked([trial(n, [0.5, 0.6 + n / 100, None]) for n in range(9)])
    figure = curves(given, grace=2, reduction=3)
    x, y = line(figure, "0008 focal-adam: 0.6800").get_data()
    assert list(x) == [1, 2]
    assert list(y) == pytest.approx([0.5, 0.68])
    assert "other trials (4)" in texts(figure)
    assert "epochs 2, 6" in texts(figure)


def test_what_asha_saved_is_counted_by_hand():
    given = [
        trial(0, [0.5] * 12),
        trial(1, [0.5] * 2, ended="asha"),
        trial(2, [0.5] * 6, ended="asha"),
        trial(3, [0.5] * 9, ended="patience"),
        trial(4, [0.5] * 3, ended="interrupted"),
    ]
    assert saved_share(given, "asha") == pytest.approx((10 + 6) / 60)
    assert "ASHA saved 27 % and patience saved 5 % of 60 epochs" in texts(saved(given))
    assert "stopped by ASHA: 2 trials, 8 epochs" in texts(saved(given))


def test_reliability_draws_known_labels_of_predicted_slices_alone():
    rng = np.random.default_rng(1)
    logits, truth = rng.normal(-2, 1, (400, 6)), (rng.random((400, 6)) < 0.2).astype(float)
    logits[:100], truth[100:150, 0] = np.nan, np.nan
    figure = reliability(logits, truth, "best")
    points = figure.axes[0].lines[1].get_xydata()
    observed, predicted = calibration_curve(
        truth[150:, 0], expit(logits[150:, 0]), n_bins=10, strategy="quantile"
    )
    np.testing.assert_allclose(points, np.column_stack([predicted, observed]))
    assert f"{int(truth[150:, 0].sum())} of 250 positive" in texts(figure)


def test_probabilities_that_are_all_zero_are_drawn_too():
    figure = reliability(np.full((20, 6), -800.0), np.eye(20, 6), "hopeless")
    assert figure.axes[0].get_xlim()[1] > 0


def test_calibration_draws_both_curves_of_the_same_slices_with_both_errors():
    rng = np.random.default_rng(1)
    logits, truth = rng.normal(-2, 1, (400, 6)), (rng.random((400, 6)) < 0.2).astype(float)
    figure = calibration(3 * logits, logits, truth)
    for line, probs in zip(
        figure.axes[0].lines[1:], (expit(3 * logits[:, 0]), expit(logits[:, 0])), strict=True
    ):
        observed, predicted = calibration_curve(truth[:, 0], probs, n_bins=10, strategy="quantile")
        np.testing.assert_allclose(line.get_xydata(), np.column_stack([predicted, observed]))
    assert re.search(r"ECE 0\.\d+ → 0\.\d+", texts(figure))


def params(number: int) -> dict[str, Any]:
    """Parameters of SPACE: every other trial in another branch."""
    dropout = {"model.dropout": number / 100}
    if number % 2:
        return {**dropout, "loss": "bce", "optimizer": "sgd", "optimizer.sgd.nesterov": number % 4 == 1}
    alpha = {"loss": "focal", "loss.focal.alpha": None if number % 4 else 0.25}
    return {**dropout, **alpha, "optimizer": "adam", "optimizer.adam.lr": 10 ** -(2 + number % 3)}


def searched(count: int) -> list[Any]:
    return ranked([trial(n, [0.5 + n / 100], params=params(n)) for n in range(count)])


def test_hyperparameters_that_do_not_vary_are_not_drawn():
    same = [trial(n, [0.5], params={"model.dropout": 0.1, "loss": "bce"}) for n in range(3)]
    assert varying(SPACE.dimensions, same) == []
    assert [knob.name for knob in varying(SPACE.dimensions, searched(8))] == [
        "model.dropout",
        "loss",
        "loss.focal.alpha",
        "optimizer",
        "optimizer.adam.lr",
        "optimizer.sgd.nesterov",
    ]


def test_a_branchs_own_hyperparameter_has_a_panel_on_its_own_scale():
    trials = searched(8)
    figure = slices(trials, varying(SPACE.dimensions, trials))
    panel = next(axes for axes in figure.axes if axes.get_title(loc="left") == "optimizer.adam.lr")
    drawn = panel.collections[0].get_offsets()
    drawn = drawn[np.isfinite(np.asarray(drawn.filled(np.nan))).all(axis=1)]
    assert panel.get_xscale() == "log"
    expected = sorted((10.0 ** -(2 + n % 3), 0.5 + n / 100) for n in (0, 2, 4, 6))
    np.testing.assert_allclose(sorted(map(tuple, np.asarray(drawn))), expected)


def test_categories_are_true_false_and_null_as_yaml_has_them():
    trials = searched(8)
    knobs = {knob.name: knob for knob in varying(SPACE.dimensions, trials)}
    assert knobs["optimizer.sgd.nesterov"].labels == ["true", "false"]
    assert knobs["loss.focal.alpha"].labels == ["0.25", "null"]
    places = knobs["loss.focal.alpha"].places([trial(0, [1], params=params(n)) for n in range(4)])
    np.testing.assert_array_equal(places, [0, np.nan, 1, np.nan])


def test_an_effect_is_drawn_with_its_band_where_it_is_known():
    trials = searched(8)
    effects = pd.DataFrame(
        {"parameter": "model.dropout", "value": [0.4, 0.1], "effect": [0.6, 0.7], "low": 0.5, "high": 0.8}
    )
    figure = slices(trials, varying(SPACE.dimensions, trials), effects)
    assert figure.axes[0].lines[-1].get_xydata().tolist() == [[0.1, 0.7], [0.4, 0.6]]
    assert "effect at a common epoch" in texts(figure)
    assert "effect at a common epoch" not in texts(slices(trials, varying(SPACE.dimensions, trials)))


def test_a_trial_without_a_hyperparameter_has_a_mark_on_its_axis():
    trials = searched(8)
    knobs = varying(SPACE.dimensions, trials)
    figure = parallel(trials, knobs)
    row = [knob.name for knob in knobs].index("optimizer.adam.lr")
    lines = [line for drawn in figure.axes[0].collections for line in drawn.get_segments()]
    assert sum(line[row, 0] < LEFT_OUT / 2 for line in lines) == 4  # the ones of sgd
    assert sorted(line[-1, 0] for line in lines) == pytest.approx(
        np.arange(8) / 7
    )  # the best at the right end


def test_folds_are_drawn_with_mean_interval_and_no_skill():
    given = ranked([trial(n, [0.6 + n / 100]) for n in range(20)])
    intervals = np.array([[one.score - 0.05, one.score + 0.04] for one in given])
    figure = folds(given, intervals, ("prevalence", 0.5))
    assert line(figure, "mean").get_xdata() == pytest.approx([0.79 - n / 100 for n in range(15)])
    first = [drawn for drawn in figure.axes[0].lines if drawn.get_label() == "fold 1"]
    assert first[0].get_xdata()[0] == pytest.approx(0.78)
    assert figure.axes[0].collections[0].get_segments()[0][:, 0] == pytest.approx([0.74, 0.83])
    assert line(figure, "no skill: prevalence").get_xdata()[0] == 0.5


def test_an_undefined_label_is_said_to_be():
    rows = [("a", label, 0.8, 0.7, 0.9, 1) for label in LABELS[1:]] + [("a", LABELS[0], *[np.nan] * 3, 0)]
    table = pd.DataFrame(rows, columns=["trial", "label", "auc", "auc_low", "auc_high", "positive_patients"])
    said = texts(labels(table, {"a": "0001 best"}))
    assert said.count("undefined") == 1
    assert "epidural\n0 patients" in said
    assert "any\n1 patient" in said


def test_importance_has_sorted_bars_by_branch_and_the_level_of_chance():
    rows = [
        ("a", "", 30, 0.1, 0.05, 0.2),
        ("b", "", 30, 0.6, 0.1, 0.2),
        ("c.d", "c is d", 4, np.nan, np.nan, np.nan),
    ]
    table = pd.DataFrame(rows, columns=["parameter", "branch", "trials", "importance", "deviation", "chance"])
    figure = importance(table)
    said = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert said == ["all branches (30 trials)", "b", "a", "c is d (4 trials)", "c.d"]
    assert [patch.get_width() for patch in figure.axes[0].patches] == [0.6, 0.1]
    for words in ("too few trials", "0.600", "0.100, no more than chance"):
        assert words in texts(figure)


@pytest.mark.parametrize(
    "given",
    {
        "one trial": [trial(0, [0.6], params=params(0))],
        "one epoch of none": [trial(0, [None], ended="diverged", epochs=1)],
        "all diverged": [trial(n, [None, None], ended="diverged", params=params(n)) for n in range(3)],
        "some undefined": [trial(0, [0.6]), trial(1, [None]), trial(2, [0.7, None], ended="diverged")],
        "all alike": [trial(n, [0.5] * 12, params=params(n)) for n in range(9)],
        "a loss over decades": [
            trial(n, [10.0**n], params=params(n), metric="weighted_log_loss") for n in range(7)
        ],
        "names like formulas": [
            trial(n, [0.5], params=params(n), point=f"$x_{n}$ & \\frac", name="$" * 90) for n in range(3)
        ],
        "every end": [
            trial(n, [0.5 + n / 9], ended=ended, params=params(n))
            for n, ended in enumerate(["asha", "patience", "failed", "interrupted", "running", "diverged"])
        ],
    }.items(),
    ids=lambda item: item[0],
)
def test_odd_searches_are_drawn_without_a_warning(given):
    trials = ranked(given[1])
    figures = [progress(trials), curves(trials, grace=1, reduction=2), saved(trials)]
    if np.isfinite(Metric.of(trials).score(trials[0])):
        figures.append(folds(trials, np.full((len(trials), 2), np.nan), None))
        if knobs := varying(SPACE.dimensions, trials):
            figures += [slices(trials, knobs), parallel(trials, knobs)]
    with paper():
        for figure in figures:
            FigureCanvasAgg(figure).draw()


def test_a_search_of_one_trial_has_the_pictures_that_one_trial_can_have(tmp_path):
    run = made_up_run(tmp_path / "runs", made_up_store(tmp_path / "store", 500), 1)
    results = RankedResults.of(run)
    files = drawn(results, tmp_path / "pictures", importance=None, effects=None, by_label=None)
    assert {file.stem for file in files} == {"progress", "curves", "saved", "folds", "reliability"}


def test_long_names_are_broken_or_cut_so_that_they_fit():
    assert wrapped("bce pos_weight=balanced", 10) == "bce pos_\nweight=\nbalanced"
    assert max(map(len, wrapped("x" * 80 + " " + "y_" * 40, 12).split("\n"))) <= 12
    assert strips(["shuffle", "oversample"], 0.9) == ["shuffle", "oversample"]
    assert strips(["aaaaaaaaaaaa", "bbbbbbbbbbbb"], 0.5) == ["aaaaaaaaaaaa", "\nbbbbbbbbbbbb"]
    assert shortened("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-5, "1e-5"), (2.5e-4, "2.5e-4"), (0.05, "0.05"), (0, "0"), (1000.0, "1000"), (3e6, "3e6")],
)
def test_numbers_stand_as_people_write_them(value, text):
    assert number(value) == text
