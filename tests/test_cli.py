import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ichtune.cli import app


def ichtune(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ichtune.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_help_imports_nothing_heavy():
    heavy = ("torch", "ray", "monai", "pandas", "sklearn", "scipy", "cv2", "optuna", "pydicom")
    script = f"import sys, ichtune.cli; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.strip() == "[]"


def test_every_command_has_a_help_page():
    for command in [command.callback.__name__ for command in app.registered_commands]:
        shown = CliRunner().invoke(app, [command, "--help"])
        assert shown.exit_code == 0
        assert "Usage:" in shown.output


def test_prepare_and_inspect_show_the_splits(rsna_folder, tmp_path):
    made = ichtune("prepare", rsna_folder(), tmp_path / "store", "--size", 32, "--folds", 3)
    assert made.returncode == 0, made.stderr
    assert "30 slices of 10 patients" in made.stdout
    shown = ichtune("inspect", tmp_path / "store")
    assert shown.returncode == 0, shown.stderr
    assert "None of the 10 patients stands in two splits or folds" in shown.stdout
    assert (tmp_path / "store" / "inspect.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "{tmp}/gone", "{tmp}/store"], "gone: no such folder to prepare from"),
        (["prepare", "{tmp}", "{tmp}/store"], "no CSV with labels here; name it with --labels"),
        (["prepare", "{tmp}", "{tmp}/store", "--window", "foggy"], "window 'foggy' is neither C/W"),
        (["inspect", "{tmp}"], "not a finished slice store"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(tmp_path, arguments, message):
    run = ichtune(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert message in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_too_many_rejections_are_summed_up_with_exit_code_1(rsna_folder, tmp_path):
    root = rsna_folder()
    for path in sorted((root / "stage_2_train").iterdir())[:5]:
        path.write_text("no image")
    run = ichtune("prepare", root, tmp_path / "store", "--size", 32)
    assert run.returncode == 1
    assert "5 rejected" in run.stdout
    assert "not a DICOM file" in run.stdout
    assert "more than --max-rejected 0.05 allows" in run.stderr
