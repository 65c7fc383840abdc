"""A report holds everything in one file, says what the numbers say, and works in a browser and on paper."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from analysis.findings import Findings
from analysis.report.build import write_report
from analysis.report.coordinates import parallel
from analysis.report.dataset import Dataset
from analysis.report.figures import figures
from analysis.report.repeat import prepare_command, rank_command, retrain_command, search_command
from analysis.report.retrained import retrained_models
from analysis.report.search_facts import endings
from analysis.report.summary import Summary
from analysis.results import RankedResults
from ichtune.cli import app
from ichtune.data.store import SliceStore
from ichtune.inference.about import About, Origin, Preprocessing
from ichtune.inference.calibration import Calibration
from ichtune.labels import LABELS
from ichtune.recipe import Recipe
from ichtune.runs.folder import RunFolder
from ichtune.space import Space
from ichtune.yaml_text import write_yaml
from tests.made_up.chromium import Chromium, find_chromium
from tests.made_up.runs import made_up_run

NASTY = "<script>alert(1)</script> & \"quotes\" 'é' </script>"
IMPORTANCE = pd.DataFrame(
    {
        "parameter": ["loss", "sampler"],
        "trials": [60, 60],
        "importance": [0.61, 0.02],
        "deviation": [0.03, 0.02],
        "chance": [0.05, 0.05],
    }
)


CALIBRATION = Calibration(
    method="temperature",
    slopes=dict.fromkeys(LABELS, 0.5),
    intercepts=dict.fromkeys(LABELS, 0.0),
    chosen="temperature scaling on fold 2",
)


class Told(Findings):
    """Findings whose importance and effects are given, as they take their time."""

    importance = IMPORTANCE  # ty: ignore[invalid-assignment]
    effects = IMPORTANCE[:0]  # ty: ignore[invalid-assignment]


def picture(folder: Path, name: str = "curves") -> Path:
    Image.new("RGB", (300, 200), "white").save(folder / f"{name}.png")
    return folder / f"{name}.png"


def reported(run: RunFolder, folder: Path) -> Path:
    return write_report(Told(RankedResults.of(run), top=2), [picture(folder)])


def with_ends(name: str, *values: float) -> dict[str, float | None]:
    """A figure and the ends of its interval, as far as they are known."""
    keys = (name, f"{name}_low", f"{name}_high")
    return dict(zip_longest(keys, values))


def retrained(run: RunFolder, label: str = "rank1-all", **changes: Any) -> Path:
    """A model's folder without its weights, of the best trial's recipe with other settings."""
    best = RankedResults.of(run).best
    recipe = Recipe.parse(best.record.recipe, "best")
    training = recipe.training.model_copy(update={"epochs": 3})
    recipe = recipe.model_copy(update={"training": training, **changes})
    folder = run.path / "retrain" / label
    folder.mkdir(parents=True)
    about = About(
        calibration=CALIBRATION,
        thresholds=dict.fromkeys(LABELS, 0.25),
        thresholds_by="sensitivity",
        sensitivity=0.95,
        thresholds_chosen="for a sensitivity of at least 0.95",
        preprocessing=Preprocessing.of(recipe.model),
        recipe=recipe,
        fingerprint="f",
        origin=Origin(
            run=run.name,
            rank=1,
            trial=best.name,
            fold=2,
            head="warm",
            epoch=2,
            seed=0,
            differences={"training.epochs": "12 -> 3"},
        ),
        versions={},
        weights_sha256="0",
    )
    (folder / "model.yaml").write_text(write_yaml(about.model_dump(mode="json")))
    scores = {"validation": {"auc": 0.71, "auc_epidural": None}, "test": {"auc": 0.82}}
    part = {"slices": 10, "patients": 2, "prevalence": {}}
    metrics = {
        "metric": "auc",
        "best_epoch": 2,
        "ended": "last epoch",
        "parts": {"validation": part, "test": part},
        "models": {
            "frozen": {"trained_parameters": 3078, **scores},
            "retrained": {"trained_parameters": 9, **scores},
        },
        "calibration": [
            {"part": "test", "label": "any", "error": "log loss"}
            | (with_ends("before", 0.9, 0.8, 1.0) | with_ends("after", 0.31, 0.2, 0.4))
            | with_ends("change", -0.59, -0.7, -0.4)
        ],
        "thresholds": [
            {"part": "test", "label": "any", "model": "tuned", "threshold": 0.25}
            | {"positive": 1234, "patients": 1}
            | (with_ends("sensitivity", 1.0) | with_ends("specificity", 0.8, 0.7, 0.9) | with_ends("ppv"))
        ],
        "history": {"frozen": [], "retrained": [{}, {}, {}]},
        "differences": [],
        "notes": ["optimistic"],
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    picture(folder, "calibration")
    return folder


def words(run: RunFolder) -> str:
    summary = Summary(RankedResults.of(run), retrained_models(run)[0])
    return "\n".join(
        [*(" ".join(figure) for figure in summary.key_figures), *summary.found, *summary.not_shown]
    )


def test_the_summary_says_what_the_ranking_says(made_up: tuple[SliceStore, RunFolder]):
    results, said = RankedResults.of(made_up[1]), words(made_up[1])
    best = results.table.iloc[0]
    assert f"with AUC {best['score']:.3f} (95 % interval by patient {best['score_low']:.3f} to" in said
    tied = int(results.table["tied_with_best"].sum()) - 1
    assert re.search(rf"{tied} of the 59 others (is|are) indistinguishable from it", said)
    assert "the set that holds the truly best recipe with 95 % confidence" in said
    assert re.search(r"The simplest of them is .* to the baseline", said)
    assert re.search(r"more patients, .* about [\d,]+ to exclude a recipe that is truly worse by 0.02", said)
    assert f"Corrected for this selection, it is {results.corrected_best:.3f}" in said
    assert "The baseline (rank 10 of 60) scores" in said
    assert "Corrected for all comparisons, the baseline is not the best" in said
    position = results.no_skill.set_index("trial").at["position", "score"]
    best_without = "by knowing a slice's place in its scan and nothing else, the score is"
    assert f"{best_without} {position:.3f}, outside the interval of the best" in said
    assert "The test set (420 slices of 12 patients) has not been used" in said
    assert "epidural (3)" in said  # of the 60 patients outside the test set: few


@pytest.fixture(scope="module")
def alone(made_up: tuple[SliceStore, RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """One trial, of a space of one recipe, by a metric that is minimised."""
    space = Space.parse({"name": "one", "metric": "weighted_log_loss", "model": {"weights": "random"}}, "one")
    return made_up_run(tmp_path_factory.mktemp("one"), made_up[0], 1, space=space)


def test_a_single_trial_is_compared_with_nothing(alone: RunFolder, tmp_path: Path):
    said = words(alone)
    assert "1 training recipe was tried from the space one, which leaves nothing open." in said
    assert "weighted log loss (lower is better)" in said
    assert "the only trial, so there is nothing to compare it with" in said
    assert "luck" not in said
    assert "no point named “baseline”" in said
    page = reported(alone, tmp_path).read_text()
    assert "Nothing varied between the trials" in page


def test_the_command_writes_the_report_and_opens_it(alone: RunFolder, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    done = CliRunner().invoke(app, ["report", str(alone.path), "--open"])
    assert done.exit_code == 0, done.output
    assert opened == [(alone.path / "report.html").as_uri()]
    page = (alone.path / "report.html").read_text()
    assert {path.stem for path in (alone.path / "results" / "pictures").glob("*.png")} == set(
        re.findall(r'<figure id="picture-(\w+)">', page)
    )
    assert "Too few settings or trials varied" in page


def test_a_minimised_score_is_drawn_with_the_better_above(made_up: tuple[SliceStore, RunFolder]):
    results = RankedResults.of(made_up[1], metric="weighted_log_loss")
    last = [trial["places"][-1] for trial in parallel(results.ranking, [], decimals=3, most=60)["trials"]]
    assert last == sorted(last, reverse=True)
    assert (last[0], last[-1]) == (1.0, 0.0)


def test_diverged_trials_are_mentioned_and_not_on_the_axis_of_scores(made_up_copy: RunFolder):
    journal = made_up_copy.journal.read_text().replace('"ended":"asha"', '"ended":"diverged"')
    made_up_copy.journal.write_text(journal)
    results = RankedResults.of(made_up_copy)
    assert "of the ranked trials, these did not: 55 diverged" in words(made_up_copy)
    assert parallel(results.ranking, [], decimals=3, most=60)["trials"][-1]["places"] == [None]
    assert endings(made_up_copy) == ["60 trials: 5 done, 0 stopped early, 55 diverged"]


def test_axes_follow_the_space(made_up: tuple[SliceStore, RunFolder]):
    results = RankedResults.of(made_up[1])
    data = parallel(results.ranking, made_up[1].request.space.dimensions, decimals=3, most=60)
    axes = {axis["name"]: dict(reversed(tick) for tick in axis["ticks"]) for axis in data["axes"]}
    assert axes["sampler"] == {"shuffle": 0.25, "oversample": 0.75}
    rates = axes["optimizer.adam.lr"]  # logarithmic, so decades are as far from each other everywhere
    assert rates["0.001"] - rates["0.0001"] > 0.2
    place = [axis["name"] for axis in data["axes"]].index("optimizer.adam.lr")
    for shown, trial in zip(data["trials"], results.trials, strict=True):
        assert (shown["places"][place] is None) == ("optimizer.adam.lr" not in trial.record.params)
        assert (shown["texts"][place] == "–") == ("optimizer.adam.lr" not in trial.record.params)


def test_the_commands_name_what_differs_from_the_defaults(made_up: tuple[SliceStore, RunFolder]):
    store, run = made_up
    assert prepare_command(store.info, "my store") == (
        "ichtune prepare SOURCE 'my store' --format images --size 32 --test-fraction 0.166667"
    )
    read = replace(store.info, reading={"mask_classes": "1=epidural,2=subdural"})
    assert "--mask-classes 1=epidural,2=subdural" in prepare_command(read, "store")
    several = replace(store.info, sources=("a", "b"), folds_by_source=True, keeps_given_split=True)
    assert prepare_command(several, "store") == (
        "ichtune prepare SOURCE1 SOURCE2 store --size 32 --folds by-source --keep-split"
    )
    assert search_command(run, "store", "default") == (
        "ichtune search --data store --space default --trials 60 --name made-up --folds 5 --sampler random "
        "--engine torch --seed 0"
    )


def test_the_command_of_the_tables_has_the_other_seeds_and_the_test_set(made_up_copy: RunFolder):
    records = [{"trial": trial, "seed": seed, "epoch": 1, "mean": {}} for trial in "ab" for seed in (1, 2, 3)]
    (made_up_copy.path / "seeds.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert rank_command(made_up_copy, test=True) == "ichtune rank runs/made-up --top 2 --seeds 3 --test"


def test_the_command_of_a_retrained_model_gives_its_recipe_again(made_up_copy: RunFolder):
    best = RankedResults.of(made_up_copy).best.record.recipe
    retrained(
        made_up_copy,
        model=best.model.model_copy(update={"train": "all", "dropout": 0.25}),
        optimizer=best.optimizer.model_copy(update={"lr": 1e-4}),
    )
    (model,), damaged = retrained_models(made_up_copy)
    assert damaged == []
    assert retrain_command(made_up_copy, model) == (
        "ichtune retrain runs/made-up --rank 1 --train all --head warm --fold 2 --epochs 3 --lr 0.0001 "
        "--calibration temperature --sensitivity 0.95 --label rank1-all --set=model.dropout=0.25"
    )


def test_a_model_shows_its_calibration_and_thresholds_before_and_after(
    made_up_copy: RunFolder, tmp_path: Path
):
    retrained(made_up_copy)
    page = reported(made_up_copy, tmp_path).read_text()
    for shown in (
        "Calibration: temperature scaling on fold 2.",
        "any 0.25 (for a sensitivity of at least 0.95)",
        ">0.900 (0.800 to 1.000)<",
        ">-0.590 (-0.700 to -0.400)<",
        ">1.00<",  # a single patient has no interval
        ">undefined<",
        ">1,234<",
        "<b>Calibration.</b> How often a label was present",
    ):
        assert shown in page


def test_a_model_from_before_calibration_has_no_tables_of_it(made_up_copy: RunFolder):
    folder = retrained(made_up_copy)
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["calibration"], metrics["thresholds"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (model,), _ = retrained_models(made_up_copy)
    assert model.tuning == []


def test_a_damaged_model_is_a_line(made_up_copy: RunFolder):
    (retrained(made_up_copy) / "metrics.json").write_text("{")
    models, (line,) = retrained_models(made_up_copy)
    assert models == []
    assert line.startswith("rank1-all can't be read: ")
    assert "metrics.json: not JSON: Expecting" in line


def test_a_missing_audit_is_reported(made_up_copy: RunFolder):
    (finding,) = Dataset.of(RankedResults.of(made_up_copy).cohort).findings
    assert finding.level == "note"
    assert "digests.npy: damaged or missing" in finding.text


def test_whatever_names_hold_is_text(made_up: tuple[SliceStore, RunFolder], tmp_path: Path):
    run = RunFolder(Path(shutil.copytree(made_up[1].path, tmp_path / '"><script>alert(2)')))
    run.write(replace(run.request, space=replace(run.request.space, description=NASTY)))
    for file in run.path.glob("trials/*/trial.json"):
        about = json.loads(file.read_text())
        file.write_text(json.dumps(about | {"point": NASTY}))
    page = write_report(Told(RankedResults.of(run)), [picture(tmp_path, '"><script>alert(3)')]).read_text()
    assert "<script>alert" not in page
    assert len(re.findall(r"</script>", page)) == len(re.findall(r"<script[ >]", page)) == 3
    data = re.search(r'<script type="application/json" id="parallel-data">(.*?)</script>', page, re.S)
    assert data
    assert json.loads(data[1])["trials"][0]["name"] == NASTY


def test_nothing_is_fetched_and_paths_stay_at_home(made_up_copy: RunFolder, tmp_path: Path):
    retrained(made_up_copy)
    page = reported(made_up_copy, tmp_path).read_text()
    assert re.search(r"(?:src|href)=\"(?!data:|#)", page) is None
    assert set(re.findall(r"https?://[^/]*", page)) == {"http://www.w3.org"}  # the name that SVG goes by
    assert str(made_up_copy.path.parent) not in page


def test_pictures_that_are_too_large_are_made_coarser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("analysis.report.figures.ROOM", 200_000)
    noise = np.random.default_rng(0).integers(0, 256, (450, 450, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    (figure,) = figures([tmp_path / "noise.png"])
    assert len(figure.source) * 3 / 4 < 200_000 < (tmp_path / "noise.png").stat().st_size


def test_an_svg_is_taken_where_it_is_smaller(tmp_path: Path):
    made = picture(tmp_path)
    made.with_suffix(".svg").write_text("<svg/>")
    assert figures([made])[0].source.startswith("data:image/svg+xml;base64,")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if find_chromium() is None:
        pytest.skip("needs Chromium or Chrome")
    with Chromium.open(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(made_up: tuple[SliceStore, RunFolder], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    run = RunFolder(Path(shutil.copytree(made_up[1].path, folder / "made-up")))
    retrained(run)
    return reported(run, folder)


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_the_screen_without_errors_and_without_the_network(
    page: Path, browser: Chromium, width: int
):
    assert page.stat().st_size < 6e6
    browser.go(page.as_uri(), width)
    assert browser.errors == []
    assert [url for url in browser.requested if not url.startswith("data:")] == [page.as_uri()]
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def test_an_intruding_script_does_not_run(page: Path, browser: Chromium, tmp_path: Path):
    intruded = tmp_path / "intruded.html"
    intruded.write_text(page.read_text().replace("<main>", "<main><script>window.intruded = true</script>"))
    browser.go(intruded.as_uri(), 1280)
    assert browser.run("window.intruded") is None
    assert "Content Security Policy" in browser.errors[0]


def test_a_click_on_a_head_sorts_by_full_values(page: Path, browser: Chromium):
    browser.go(page.as_uri(), 1280)
    rows = "[...document.querySelectorAll('#results table')[0].tBodies[0].rows]"
    column = f"{rows}.map((row) => Number(row.cells[2].dataset.value))"
    before = browser.run(column)
    head = "document.querySelectorAll('#results table')[0].tHead.rows[0].cells[2]"
    click(browser, head)
    assert browser.run(column) == sorted(before)
    click(browser, head)
    assert browser.run(column) == sorted(before, reverse=True)
    assert browser.run(f"{head}.ariaSort") == "descending"
    foot = "document.querySelectorAll('#results table')[0].tFoot.rows.length"
    assert browser.run(foot) == 3  # no skill stays below


def test_a_line_a_trial_and_a_drag_along_an_axis_keeps_some(
    page: Path, browser: Chromium, made_up: tuple[SliceStore, RunFolder]
):
    results = RankedResults.of(made_up[1])
    browser.go(page.as_uri(), 1280)
    assert browser.run("document.querySelectorAll('path.trial').length") == 60
    axis = (
        "document.querySelectorAll('#parallel-chart [role=slider]')[1]"  # the loss, focal being the topmost
    )
    x, top, height = browser.run(
        f"(() => {{ {axis}.scrollIntoView({{ behavior: 'instant' }}); const box = {axis}.querySelector('.axis')"
        ".getBoundingClientRect(); return [box.x, box.y, box.height] })()"
    )
    browser.drag((x, top), (x, top + height / 3))
    focal = {
        f"{rank}" for rank, trial in enumerate(results.trials, 1) if trial.record.params["loss"] == "focal"
    }
    shown = "[...document.querySelectorAll('table.trials tr.picked')].map((row) => row.cells[0].textContent)"
    assert set(browser.run(shown)) == focal
    assert browser.run("document.querySelectorAll('path.trial:not(.out)').length") == len(focal)
    assert (
        browser.run("document.getElementById('parallel-count').value") == f"{len(focal)} of 60 trials chosen."
    )
    browser.double_click((x + 30, top + height / 2))
    assert browser.run("document.querySelectorAll('table.trials tr.picked, path.trial.out').length") == 0
    assert browser.errors == []


def test_pointing_at_a_line_tells_its_trial(page: Path, browser: Chromium):
    browser.go(page.as_uri(), 1280)
    x, y = browser.run(
        "(() => { const path = [...document.querySelectorAll('path.trial')].at(-1);"  # the best, on top
        " path.scrollIntoView({ behavior: 'instant', block: 'center' });"
        " const near_its_score = path.getPointAtLength(path.getTotalLength() - 30);"
        " const at = near_its_score.matrixTransform(path.getScreenCTM()); return [at.x, at.y] })()"
    )
    browser.point((x, y))
    assert browser.run("document.querySelector('#parallel-tip:not([hidden]) b').textContent") == "focal"
    assert browser.run("document.querySelector('tr.hot').cells[1].textContent") == "focal"
    assert "gamma" in browser.run("document.querySelector('#parallel-tip').textContent")


def test_the_chart_can_be_used_by_keyboard(page: Path, browser: Chromium):
    browser.go(page.as_uri(), 1280)
    browser.run("[...document.querySelectorAll('#parallel-chart [role=slider]')].at(-1).focus()")
    for _ in range(20):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowUp")
    kept = browser.run("document.querySelectorAll('path.trial:not(.out)').length")
    assert 0 < kept < 20
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    assert browser.run("document.querySelectorAll('path.trial.out').length") == 0


def test_it_prints(page: Path, browser: Chromium):
    browser.go(page.as_uri(), 1280)
    assert browser.pdf().startswith(b"%PDF")


def test_without_scripts_the_tables_stand_there(page: Path, browser: Chromium):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.go(page.as_uri(), 1280)
        assert "The chart needs JavaScript" in browser.run("document.body.innerText")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def click(browser: Chromium, element: str) -> None:
    x, y = browser.run(
        f"(() => {{ {element}.scrollIntoView({{ behavior: 'instant', block: 'center' }});"
        f" const box = {element}.getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2] })()"
    )
    browser.drag((x, y), (x, y))
