"""Published studies as commands: planned, run, resumed, and told on one page."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer

from analysis.report.studied import write_page
from analysis.studies.cost import cost
from analysis.studies.plan import Reproduction
from analysis.studies.run import DONE, SAMPLE, TRUTH, StepFailed, run
from analysis.studies.study import STUDIES, Study
from analysis.studies.tables import tables
from ichtune.cli import app
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from tests.made_up.stores import made_up_store

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SliceStore:
    return made_up_store(tmp_path_factory.mktemp("first") / "store", 420)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> SliceStore:
    return made_up_store(tmp_path_factory.mktemp("second") / "other", 420, seed=1)


def planned(name: str, store: SliceStore, second: SliceStore, out: Path, **options: Any) -> Reproduction:
    other = second.path if Study.load(name).needs_second else None
    return Reproduction.plan(name, store.path, other, out, **options)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", STUDIES)
def test_every_step_is_a_call_that_the_command_line_knows(name, quick, store, second, tmp_path):
    known = typer.main.get_command(app).commands  # ty: ignore[unresolved-attribute]
    for command in planned(name, store, second, tmp_path, quick=quick).commands:
        flags = {flag for option in known[command.arguments[0]].params for flag in option.opts}
        assert {each for each in command.arguments if each.startswith("--")} <= flags
        assert "{" not in "".join(each for each in command.arguments if "choice" not in each)


def test_a_step_has_a_name_of_its_own_and_tables_are_read_from_what_a_step_makes(store, second, tmp_path):
    for name in STUDIES:
        study = Study.load(name)
        steps = [step.name for step in study.steps]
        assert len(set(steps)) == len(steps)
        for table in study.tables:
            assert len(table.columns) == len(table.values)
            assert all(len(row.published) in (0, len(table.columns)) for row in table.rows)
            assert all(len(row.values) in (0, len(table.columns)) for row in table.rows)


def test_published_figures_are_those_of_the_documentation():
    lines = (DOCS / "studies.md").read_text().splitlines()
    rows = {
        name: numbers
        for name, *numbers in (re.split(r"\s*\|\s*", line.strip("| ")) for line in lines)
        if numbers
    }
    [part5] = [table for table in Study.load("seven-parts").tables if table.name == "part5"]
    chosen = [0, 1, 2, 5, 6, 7]  # AUC, accuracy and F1, of the test set and validation
    names = {"none: BCE and Adam": "BCE and Adam"}
    documented = {names.get(name, name): numbers for name, numbers in rows.items()}
    published = [row for row in part5.rows if row.published]
    assert len(published) == 10
    for row in published:
        numbers = [float(row.published[place] or "nan") for place in chosen]
        assert numbers == pytest.approx([float(number) for number in documented[row.name]], nan_ok=True)


def test_images_larger_than_the_stores_are_taken_at_its_size_and_that_is_said(store, second, tmp_path):
    made = planned("seven-parts", store, second, tmp_path)
    assert all("model.size=32" in command.arguments for command in made.commands if command.space)
    assert "images of 32 pixels, the store's, instead of 512" in made.differences
    chosen = planned("seven-parts", store, second, tmp_path, changes={"model.size": 48})
    assert all("model.size=48" in command.arguments for command in chosen.commands if command.space)
    assert chosen.differences == ["--set model.size=48"]


def test_the_cost_of_a_frozen_search_is_its_feature_bank(store, second, tmp_path):
    made = planned(
        "seven-parts", store, second, tmp_path, changes={"model.backbone": "cnn5", "model.weights": "random"}
    )
    costs = {command.step.name: cost(made, command) for command in made.commands}
    train = len(store.train)
    assert costs["part1-test"] is None
    assert (costs["part3"].trainings, costs["part3"].epochs) == (15, 12)  # ty: ignore[unresolved-attribute]
    assert costs["part3"].images == train * (1 + 12 + 12)  # ty: ignore[unresolved-attribute]
    assert costs["part6-trained"].images == train * 18  # ty: ignore[unresolved-attribute]


@pytest.mark.parametrize(
    ("name", "second_store", "message"),
    [
        ("seven-part", False, "did you mean 'seven-parts'"),
        ("small-cnn", False, "give the other store with --second"),
        ("winners", True, "uses a single store"),
    ],
)
def test_a_wrong_request_is_refused(name, second_store, message, store, second, tmp_path):
    with pytest.raises(InputError, match=message):
        Reproduction.plan(name, store.path, second.path if second_store else None, tmp_path)


def steps(*commands: str) -> Study:
    """A study of calls that take no time: a space's tree for each of these spaces."""
    return Study.model_validate(
        {
            "title": "Made up",
            "source": "nowhere",
            "data": "made-up data",
            "quick": "nothing",
            "flaws": [{"flaw": "It is made up.", "here": "So is this."}],
            "steps": [
                {"name": f"step{number}", "does": f"shows {name}", "command": "space", "given": [name]}
                for number, name in enumerate(commands)
            ],
            "tables": [
                {
                    "name": "only",
                    "caption": "Scores",
                    "file": "results/found.json",
                    "columns": ["AUC", "F1"],
                    "values": ["auc", "f1"],
                    "rows": [
                        {"name": "first", "where": {"trial": "*-one"}, "published": [0.7123, None]},
                        {"name": "second", "where": {"trial": "*-two"}, "published": [0.5, 0.25]},
                    ],
                }
            ],
        }
    )


def made_up(study: Study, store: SliceStore, out: Path) -> Reproduction:
    return Reproduction("made-up", study, store, None, out, False, {})


def test_a_failed_step_is_named_and_the_next_call_goes_on_with_it(store, tmp_path):
    with pytest.raises(StepFailed) as failed:
        run(made_up(steps("quick", str(tmp_path / "later.yaml")), store, tmp_path / "out"))
    assert (failed.value.command.step.name, failed.value.code) == ("step1", 2)
    (tmp_path / "later.yaml").write_text("model: {size: 32}\n")
    begun = []
    again = made_up(steps("quick", str(tmp_path / "later.yaml")), store, tmp_path / "out")
    run(again, lambda command: begun.append(command.step.name))
    assert begun == ["step1"]
    assert list(json.loads((tmp_path / "out" / DONE).read_text())) == ["step0", "step1"]


def test_another_request_in_the_same_folder_is_refused(store, tmp_path):
    run(made_up(steps("quick"), store, tmp_path / "out"))
    with pytest.raises(InputError, match="holds a reproduction with other options; choose another --out"):
        run(made_up(steps("default"), store, tmp_path / "out"))


def test_a_challenge_has_every_labelled_slice_of_the_test_set_in_its_form(store, tmp_path):
    study = steps("quick").model_copy(update={"challenge": True})
    run(made_up(study, store, tmp_path / "out"))
    lines = [(tmp_path / "out" / name).read_text().splitlines() for name in (SAMPLE, TRUTH)]
    assert [len(each) for each in lines] == [1 + 6 * len(store.test)] * 2
    assert (
        lines[1][6]
        == f"{store.table['slice_id'].iloc[store.test[0]]}_any,{store.labels[store.test[0], 5]:.0f}"
    )


def test_a_published_row_stands_beside_its_counterpart_and_a_missing_one_is_explained(store, tmp_path):
    made = made_up(steps("quick"), store, tmp_path / "out")
    (made.out / "results").mkdir(parents=True)
    found = {"trial": "0000-one", "auc": 0.61234, "auc_low": 0.5, "auc_high": 0.7, "f1": 0.25}
    (made.out / "results" / "found.json").write_text(json.dumps({"rows": [found], "no_skill": []}))
    [table] = tables(made)
    assert table.human.to_numpy().tolist() == [
        ["first", "published", "0.7123", "–"],
        ["first", "here", "0.612 (0.500 to 0.700)", "0.25"],
        ["second", "published", "0.5", "0.25"],
        ["second", "here", "–", "–"],
    ]
    assert any(note.startswith("second: not scored here") for note in table.notes)
    assert "published: on made-up data; here: on store, not to be compared" in table.notes
    page = write_page(made).read_text()
    assert all(text in page for text in ("0.7123", "It is made up.", "ichtune space quick"))


@pytest.mark.timeout(60)
def test_ctrl_c_reaches_the_running_step_once_and_ends_it(tmp_path):
    code = (
        "import sys; from analysis.studies.run import _child; "
        "sys.exit(_child(('phantom', sys.argv[1], '--patients', '200')))"
    )
    out = tmp_path / "phantom"
    with subprocess.Popen([sys.executable, "-c", code, str(out)], stderr=subprocess.PIPE) as running:
        while not out.exists():
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 130
    count = len(list(out.rglob("*")))
    time.sleep(1)
    assert len(list(out.rglob("*"))) == count
