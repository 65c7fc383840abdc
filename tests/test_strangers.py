"""What somebody else made (a store, a run, a model, a space) can be opened without harm: each case is tried here."""

import io
import json
import os
import pickle
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.lib import format as npy
from openpyxl import load_workbook
from optuna.samplers import CmaEsSampler
from rich.console import Console

from analysis.model_folder import TrainedModel
from analysis.ranking.seed_noise import SeedNoise
from analysis.results import RankedResults
from analysis.tables.table import Table
from analysis.tables.writers import write_table
from ichtune.arrays import map_array
from ichtune.cli import main
from ichtune.data.audit import audit
from ichtune.data.describe import print_rejected
from ichtune.data.store import SliceStore, StoreError
from ichtune.errors import InputError
from ichtune.json_text import read_json
from ichtune.runs.folder import RunFolder
from ichtune.runs.records import TrialRecord
from ichtune.runs.remote import Remote
from ichtune.runs.study import open_study, trial_ends
from ichtune.search.samplers import _OwnCmaEs
from ichtune.space import Space
from ichtune.spreadsheet import csv_text
from ichtune.terminal import SafeConsole, printable
from ichtune.torch_file import load_torch
from ichtune.training.checkpoint import DamagedCheckpoint, load_checkpoint
from ichtune.yaml_text import YamlError, parse_yaml, read_yaml
from tests.analysis.conftest import made_up, made_up_copy  # noqa: F401 (fixtures)
from tests.analysis.test_model_folder import write as write_model_folder


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def ichtune(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs a command as `ichtune` does: exit code, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ichtune", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


# Texts


def doubling(levels: int) -> str:
    """Lists of ten aliases each to the one before: 10 ** levels values in a few hundred bytes."""
    first = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    return first + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, levels))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (doubling(9), "line 5: more than 100,000 values, with all that aliases stand for"),
        ("a: " + "[" * 100_000, "line 1: more than 50 levels of nesting"),
        ("a: " + "{a: " * 1_000, "line 1: more than 50 levels of nesting"),
        (
            "".join(f"a{n}: &a{n} [{f'*a{n - 1}' if n else 1}]\n" for n in range(80)),
            "levels of nesting, by way of",
        ),
        ("a: !!python/object/apply:os.system [id]", r"a tag \(.*os.system\); only plain values are allowed"),
        ("a: !!binary aGk=", "a tag"),
        ("a: !!set {b}", "a tag"),
        ("a: !mine 1", r"a tag \(!mine\)"),
        ("a: " + "1" * 5_000, "limit"),
        ("a: 1\na: 2", "'a' stands twice"),
    ],
)
def test_yaml_that_would_run_code_or_take_all_memory_is_refused(text: str, message: str):
    with pytest.raises(YamlError, match=message):
        parse_yaml(text, "space.yaml")


def test_an_alias_within_bounds_is_what_it_stands_for():
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: {d: *a}", "t") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": [1, 2]},
    }


def test_a_yaml_file_without_end_is_not_read_whole(tmp_path: Path):
    file = tmp_path / "big.yaml"
    with open(file, "wb") as stream:
        stream.truncate(1 << 40)  # a terabyte that takes no disk
    with pytest.raises(YamlError, match="larger than 1,000,000 bytes"):
        read_yaml(file)


def test_a_space_that_is_a_bomb_ends_with_2(ichtune, tmp_path: Path):
    (tmp_path / "space.yaml").write_text(doubling(9))
    code, _, errors = ichtune("space", tmp_path / "space.yaml")
    assert (code, "aliases stand for" in errors) == (2, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 1_000_000, "nested too deep"),
        (b'{"a": "\\ud800"}', "half a surrogate pair"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "not JSON: Exceeds the limit"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_json_that_breaks_its_reader_or_a_writer_is_refused(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_json(tmp_path / "a.json")


# Arrays


def header(shape: tuple[int, ...], kind: str = "<i2") -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def pickled(mark: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb(mark)], object), allow_pickle=True)
    return stream.getvalue()


def zipped(mark: Path) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(3))
    return stream.getvalue()


HOSTILE_ARRAYS = [
    (pickled, "Python objects"),
    (zipped, "magic string"),
    (lambda mark: pickle.dumps(Bomb(mark)), "magic string"),
    (lambda mark: header((10**6, 10**6)), "declares 2,000,000,000,000 bytes of numbers, and 0 follow"),
    (lambda mark: header((2,)) + b"123", "declares 4 bytes of numbers, and 3 follow"),
    (lambda mark: header((-1, -4)) + b"12345678", "shape"),
]


@pytest.mark.parametrize(("make", "message"), HOSTILE_ARRAYS)
def test_an_array_is_numbers_and_as_large_as_it_says(tmp_path: Path, make, message: str):
    (tmp_path / "a.npy").write_bytes(make(tmp_path / "mark"))
    with pytest.raises(ValueError, match=message):
        map_array(tmp_path / "a.npy")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(("make", "message"), HOSTILE_ARRAYS)
@pytest.mark.parametrize("name", ["hu.npy", "digests.npy"])
def test_a_store_with_such_an_array_is_refused(
    small_store: SliceStore, tmp_path, ichtune, name, make, message
):
    (small_store.path / name).write_bytes(make(tmp_path / "mark"))
    code, _, errors = ichtune("inspect", small_store.path)
    assert code == 2
    assert re.search(message, errors)
    assert "Traceback" not in errors
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(("make", "message"), HOSTILE_ARRAYS)
def test_logits_of_a_run_that_are_such_an_array_are_refused(made_up_copy: RunFolder, tmp_path, make, message):  # noqa: F811
    for file in made_up_copy.trials.glob("*/out_of_fold.npy"):
        file.write_bytes(make(tmp_path / "mark"))
    with pytest.raises(InputError, match=message):
        _ = RankedResults.of(made_up_copy).best.logits
    assert not (tmp_path / "mark").exists()


# Checkpoints and weights


def test_a_checkpoint_runs_no_code_and_is_not_decompressed(tmp_path: Path):
    file = tmp_path / "checkpoint.pt"
    torch.save({"model": Bomb(tmp_path / "mark")}, file)
    with pytest.raises(DamagedCheckpoint):
        load_checkpoint(file)
    assert not (tmp_path / "mark").exists()

    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for part in plain.namelist():
            small.writestr(part, plain.read(part))
    assert file.stat().st_size < 20_000
    with pytest.raises(DamagedCheckpoint, match="compressed"):
        load_checkpoint(file)


def test_weights_of_a_file_run_no_code(tmp_path: Path):
    file = tmp_path / "weights.pth"
    file.write_bytes(pickle.dumps(Bomb(tmp_path / "mark")))
    with pytest.raises(ValueError, match=r".+"):
        load_torch(file)
    assert not (tmp_path / "mark").exists()


# The table of slices


def write_table_with(store: SliceStore, **columns: object) -> None:
    store.table.assign(**columns).to_parquet(store.path / "slices.parquet", index=False)


def test_an_identifier_that_would_fill_the_memory_is_refused(small_store: SliceStore):
    write_table_with(small_store, patient_id="x" * 2_000)  # one word, which thirty rows repeat
    with pytest.raises(InputError, match="patient_id has a text of 2,000 bytes, the most is 1,024"):
        _ = SliceStore.open(small_store.path).table


def test_a_table_of_more_data_than_its_rows_can_have_is_refused_unread(small_store: SliceStore):
    write_table_with(small_store, study_id=["y" * 100_000 + str(row) for row in range(30)])
    with pytest.raises(StoreError, match=r"declares 3,\d{3},\d{3} bytes for 30 rows"):
        SliceStore.open(small_store.path)


def test_a_table_of_lists_is_refused(small_store: SliceStore):
    table = pq.read_table(small_store.path / "slices.parquet")
    place = table.column_names.index("study_id")
    lists = table.set_column(place, "study_id", pa.array([[1]] * 30)).replace_schema_metadata(None)
    pq.write_table(lists, small_store.path / "slices.parquet")
    with pytest.raises(InputError, match="study_id holds list"):
        _ = SliceStore.open(small_store.path).table


# Links and other ways out of a folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A folder that nobody may read or write."""
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "secret.txt").write_text("the secret")
    return folder


def replace_by_link(file: Path, target: Path) -> None:
    if file.is_dir():
        shutil.rmtree(file)
    file.unlink(missing_ok=True)
    file.symlink_to(target)


def untouched(folder: Path) -> bool:
    return [file.name for file in folder.iterdir()] == ["secret.txt"] and (
        folder / "secret.txt"
    ).read_text() == "the secret"


@pytest.mark.parametrize(
    "name", ["hu.npy", "slices.parquet", "store.json", "digests.npy", "inspect.png", "bank"]
)
def test_a_store_with_a_link_out_of_it_is_refused(small_store: SliceStore, secret: Path, ichtune, name: str):
    replace_by_link(small_store.path / name, secret if name == "bank" else secret / "secret.txt")
    code, _, errors = ichtune("inspect", small_store.path)
    assert code == 2
    assert f"{name}: a symbolic link that leads out of" in errors
    assert "the secret" not in errors
    assert untouched(secret)


@pytest.mark.parametrize("command", ["rank", "report", "retrain"])
@pytest.mark.parametrize(
    "name", ["results", "search.yaml", "study.journal", "report.html", "retrain", "ray", "trials/7-x"]
)
def test_a_run_with_a_link_out_of_it_is_refused(made_up_copy, secret: Path, ichtune, name: str, command: str):  # noqa: F811
    replace_by_link(made_up_copy.path / name, secret)
    code, _, errors = ichtune(command, made_up_copy.path)
    assert code == 2
    assert f"{name}: a symbolic link that leads out of" in errors
    assert untouched(secret)


def test_a_search_into_a_folder_with_a_link_out_of_it_is_refused(made_up, secret: Path, tmp_path: Path):  # noqa: F811
    (tmp_path / "runs" / "new").mkdir(parents=True)
    (tmp_path / "runs" / "new" / "trials").symlink_to(secret)
    with pytest.raises(InputError, match="trials: a symbolic link that leads out of"):
        RunFolder.create(tmp_path / "runs" / "new", made_up[1].request)
    assert untouched(secret)


@pytest.mark.parametrize("name", ["model.yaml", "weights.safetensors"])
def test_a_model_with_a_link_out_of_it_is_refused(tmp_path: Path, secret: Path, name: str):
    folder = write_model_folder(tmp_path / "model")
    replace_by_link(folder / name, secret / "secret.txt")
    with pytest.raises(InputError, match=f"{name}: a symbolic link that leads out of"):
        TrainedModel.open(folder)


def test_a_folder_may_be_reached_by_a_link_and_have_links_within(small_store: SliceStore, tmp_path: Path):
    (tmp_path / "link").symlink_to(small_store.path)
    (small_store.path / "again.npy").symlink_to("hu.npy")
    assert len(SliceStore.open(tmp_path / "link")) == 30


@pytest.mark.timeout(20)
def test_a_pipe_in_a_run_does_not_block(made_up_copy: RunFolder):  # noqa: F811
    os.mkfifo(made_up_copy.path / "seeds.jsonl")
    with pytest.raises(InputError, match=r"seeds\.jsonl: neither a file nor a folder"):
        RunFolder.open(made_up_copy.path)


def test_a_bucket_with_a_name_that_leads_out_of_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Found:
        is_file, path = True, "bucket/run/../../../.bashrc"

    class Files:
        def get_file_info(self, chosen: object) -> list[Found]:
            return [Found()]

    monkeypatch.setattr(Remote, "_open", lambda self: (Files(), "bucket/run"))
    with pytest.raises(InputError, match="whose name leads out of it"):
        Remote("s3://bucket/run").pull(tmp_path / "copy")
    assert not list(tmp_path.rglob(".bashrc"))


# A run's own files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("trial.json", b"[" * 100_000, "nested too deep"),
        ("trial.json", b"[]", "damaged"),
        ("epochs.jsonl", b"[" * 100_000 + b"\n", r"epochs\.jsonl, line 1: nested too deep"),
        ("epochs.jsonl", b'{"epoch": 1}\n', "damaged"),
    ],
)
def test_a_damaged_trial_is_refused_in_a_line(made_up_copy, ichtune, name: str, content: bytes, message: str):  # noqa: F811
    (next(made_up_copy.trial_folders()).path / name).write_bytes(content)
    code, _, errors = ichtune("rank", made_up_copy.path)
    assert code == 2
    assert re.search(message, errors)


def test_trial_values_of_another_kind_are_refused(made_up_copy: RunFolder):  # noqa: F811
    file = next(made_up_copy.trial_folders()).path / "trial.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"number": "<b>"}))
    with pytest.raises(InputError, match="number must be an integer"):
        TrialRecord.read(file.parent)


def test_what_is_no_trial_is_passed_over(made_up_copy: RunFolder):  # noqa: F811
    count = len(list(made_up_copy.trial_folders()))
    (made_up_copy.trials / "1x-no").mkdir()
    assert len(list(made_up_copy.trial_folders())) == count


def test_seeds_that_are_no_json_are_refused(made_up_copy: RunFolder):  # noqa: F811
    (made_up_copy.path / "seeds.jsonl").write_text("[" * 100_000 + "\n")
    with pytest.raises(InputError, match="nested too deep"):
        _ = SeedNoise(made_up_copy).records


@pytest.mark.parametrize("line", [b"[" * 100_000, b"{}", b'{"op_code": 99}', b"\xff", b"[]"])
def test_a_damaged_journal_is_refused_in_a_line(made_up_copy, ichtune, line: bytes):  # noqa: F811
    made_up_copy.journal.write_bytes(line + b"\n" + made_up_copy.journal.read_bytes())
    code, _, errors = ichtune("rank", made_up_copy.path)
    assert code == 2
    assert "study.journal: damaged" in errors


@pytest.mark.timeout(30)
def test_a_trial_that_goes_on_with_itself_has_an_end(made_up_copy: RunFolder):  # noqa: F811
    study = open_study(made_up_copy.journal)
    trial = study.ask()
    trial.set_user_attr("continues", trial.number)
    trial.set_user_attr("ended", "failed")
    trial.set_user_attr("recipe", "0")
    with pytest.raises(InputError, match="damaged"):
        trial_ends(made_up_copy)


def test_a_pickle_in_the_journal_is_not_the_state_of_cmaes(made_up_copy: RunFolder, tmp_path: Path):  # noqa: F811
    study, bomb = open_study(made_up_copy.journal), pickle.dumps(Bomb(tmp_path / "mark")).hex()
    trial = study.ask()
    study._storage.set_trial_system_attr(trial._trial_id, "cma:optimizer:0", bomb)
    study.tell(trial, 0.5)
    trials = study.get_trials()
    assert _OwnCmaEs(seed=0)._restore_optimizer(trials) is None
    assert not (tmp_path / "mark").exists()
    CmaEsSampler(seed=0)._restore_optimizer(trials)  # Optuna's own would have run it
    assert (tmp_path / "mark").exists()


# What is shown

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b1m\r\u202egnp.exe\u200b"


def test_no_text_steers_the_terminal_or_hides():
    assert printable(ESCAPES) == r"\x1b]0;owned\x07\x1b[2J\x9b1m\r\u202egnp.exe\u200b"
    assert printable("a\tb\nä 中 −") == "a\tb\nä 中 −"


def test_names_of_files_and_reasons_are_shown_as_texts():
    screen = SafeConsole(file=io.StringIO(), width=200, force_terminal=True, color_system="standard")
    frame = pd.DataFrame({"file": [f"[red]{ESCAPES}.dcm"], "reason": [f"[link=file:///]{ESCAPES}"]})
    print_rejected(frame, screen)
    shown = screen.file.getvalue()  # ty: ignore[unresolved-attribute]
    assert r"[red]\x1b]0;owned\x07" in shown
    assert not re.search("\x1b[^\\[]|\x07|\u202e|\x9b|\x1b\\[2J", shown)


def test_an_error_does_not_steer_the_terminal(ichtune):
    code, _, errors = ichtune("inspect", f"/gone{ESCAPES}")
    assert code == 2
    assert r"\x1b]0;owned" in errors
    assert "\x1b" not in errors


def test_an_identifier_in_the_audit_does_not_steer_the_terminal(small_store: SliceStore, ichtune):
    split = ["train", "test"] * 15
    write_table_with(small_store, patient_id=f"P{ESCAPES}", split=split)
    code, output, _ = ichtune("inspect", small_store.path)
    assert code == 0
    assert r"P\x1b]0;owned" in output.replace("\n", "")
    assert "\x1b" not in output
    assert any("the first is P\x1b" in found.text for found in audit(SliceStore.open(small_store.path)))


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", " =cmd|' /C calc'!A0", "\uff1d1+1"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_text_is_no_formula_in_a_csv(formula: str):
    frame = pd.DataFrame({"id": [formula, "a"], "score": [-0.5, 1e-5], formula: ["-0.5", "+3e2"]})
    text = csv_text(frame)
    read = pd.read_csv(io.StringIO(text), dtype=str, skipinitialspace=False)
    assert read["id"].tolist() == [f"'{printable(formula)}", "a"]
    assert read.columns[2] == f"'{printable(formula)}"
    assert read["score"].tolist() == ["-0.5", "1e-05"]
    assert read.iloc[:, 2].tolist() == ["-0.5", "+3e2"]


def test_a_rejected_file_is_no_formula(rsna_folder, tmp_path: Path, ichtune):
    folder = rsna_folder()
    (folder / "stage_2_train" / "=1+1.dcm").write_bytes(b"no dicom")
    (folder / "stage_2_train.csv").write_text(
        (folder / "stage_2_train.csv").read_text()
        + "".join(f"=1+1_{kind},0\n" for kind in ("epidural", "intraparenchymal", "intraventricular"))
        + "".join(f"=1+1_{kind},0\n" for kind in ("subarachnoid", "subdural", "any"))
    )
    code, _, errors = ichtune("prepare", folder, tmp_path / "store", "--size", 32, "--folds", 3)
    assert code == 0, errors
    rejected = pd.read_csv(tmp_path / "store" / "rejected.csv")
    assert all(name[0] not in "=+-@" for name in rejected["file"])
    assert any("=1+1" in name for name in rejected["file"])


def hostile_table(text: str) -> Table:
    rows = pd.DataFrame({"rank": [1], "trial": [text], "score": [-0.5], text: [text]})
    population = pd.DataFrame({"label": [text], "train_prevalence": [0.25]})
    return Table("ranked", text, rows, pd.DataFrame({"trial": [text]}), population, notes=[text])


@pytest.mark.parametrize("text", ["=HYPERLINK(0)", "a\x00b\x0bc", "x" * 40_000])
def test_excel_gets_texts_whatever_they_hold(tmp_path: Path, text: str):
    book = load_workbook(next(f for f in write_table(tmp_path, hostile_table(text)) if f.suffix == ".xlsx"))
    cells = [cell for sheet in book for row in sheet for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    assert book["ranked"]["C2"].value == -0.5
    assert book["ranked"]["B2"].value == printable(text)[:32767]
    assert book["ranked"]["B2"].quotePrefix
    assert book["ranked"]["D1"].data_type == "s"


def test_markdown_and_html_get_no_markup(tmp_path: Path):
    text = "<img src=x onerror=alert(1)>\n\n# [a](javascript:b) ![p](http://x/y) `c` \\| d"
    files = {f.suffix: f.read_text() for f in write_table(tmp_path, hostile_table(text))[:5]}
    assert "<img" not in files[".html"]
    assert not re.search(r"(?<!\\)(<img|\[a|\[p|`c)|^#", files[".md"], re.MULTILINE)
    lines = [line for line in files[".md"].splitlines() if line.startswith("| 1 |")]
    assert [len(re.findall(r"(?<!\\)\|", line.replace(r"\\", ""))) for line in lines] == [5]


def test_latex_takes_every_character(tmp_path: Path):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex")
    import subprocess

    text = (
        r"\input{/etc/passwd} \write18{id} % # $ & _ { } ~ ^ [x] *x "
        + 'é Å ą ß Δ 中 \u202e \x1b "`?`!`\n\n<>|'
    )
    tex = next(f for f in write_table(tmp_path, hostile_table(text)) if f.suffix == ".tex").read_text()
    starts = pd.DataFrame({"trial": ["[1cm", "*", "\\", "%", "&"]})
    more = Table("starts", "rows", starts, starts[:0], pd.DataFrame({"label": ["any"]}))
    tex += next(f for f in write_table(tmp_path, more) if f.suffix == ".tex").read_text()
    head = r"\documentclass{article}\usepackage{array,booktabs,graphicx,rotating}\begin{document}"
    (tmp_path / "paper.tex").write_text(head + tex + r"\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"passwd" not in done.stdout


def test_a_space_is_shown_as_text():
    space = Space.parse({"name": "n", "description": f"[red]{ESCAPES}"}, "space.yaml")
    screen = SafeConsole(file=io.StringIO(), width=200)
    screen.print(space.tree())
    assert r"[red]\x1b]0;owned" in screen.file.getvalue()  # ty: ignore[unresolved-attribute]


def test_the_console_of_the_commands_is_the_safe_one():
    from ichtune.cli import console

    assert isinstance(console, SafeConsole)
    assert isinstance(console, Console)
