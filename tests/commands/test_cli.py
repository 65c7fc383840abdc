import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ichtune.cli import app


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


def test_prepare_and_inspect_show_the_splits(ichtune, rsna_folder, tmp_path):
    code, output, errors = ichtune("prepare", rsna_folder(), tmp_path / "store", "--size", 32, "--folds", 3)
    assert code == 0, errors
    assert "30 slices of 10 patients" in output
    code, output, errors = ichtune("inspect", tmp_path / "store")
    assert code == 0, errors
    assert "None of the 10 patients is in two splits or folds" in output
    assert (tmp_path / "store" / "inspect.png").is_file()


def test_a_store_with_only_test_slices_is_inspected_but_not_searched(ichtune, rsna_folder, tmp_path):
    store = tmp_path / "store"
    code, output, errors = ichtune("prepare", rsna_folder(patients=1), store, "--size", 32, "--all-test")
    assert code == 0, errors
    assert "3 slices of 1 patients" in output
    code, output, errors = ichtune("inspect", store)
    assert code == 0, errors
    assert "None of the 1 patients is in two splits or folds" in output
    code, _, errors = ichtune("search", "--data", store, "--dry-run")
    assert code == 2
    assert "contains only test slices" in errors
    assert "`ichtune prepare` without --all-test" in errors


def test_too_few_patients_end_it_with_what_was_rejected_and_exit_code_2(ichtune, rsna_folder, tmp_path):
    root = rsna_folder(patients=1, slices=30)
    (root / "stage_2_train" / "ID_000000000.dcm").write_text("no image")
    code, output, errors = ichtune("prepare", root, tmp_path / "store", "--size", 32)
    assert code == 2
    assert "not a DICOM file" in output
    assert "--all-test" in errors
    assert "store.partial/rejected.csv" in errors


def test_inspect_finds_a_flipped_bit_and_ends_with_exit_code_1(ichtune, small_store):
    file = small_store.path / "hu.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    code, output, errors = ichtune("inspect", small_store.path)
    assert code == 1
    assert "comparing: 30 of 30" in output
    assert f"{file}: changed since it was prepared" in errors
    assert small_store.table["slice_id"].iloc[-1] in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "{tmp}", "{tmp}/store", "--all-test", "--folds", "3"], "so omit --folds"),
        (["prepare", "{tmp}", "{tmp}/store", "--all-test", "--keep-split"], "so omit --keep-split"),
        (
            ["prepare", "{tmp}", "{tmp}/store", "--keep-split", "--test-fraction", "0.1"],
            "so omit --test-fraction",
        ),
        (["prepare", "{tmp}/gone", "{tmp}/store"], "gone: no such folder to prepare from"),
        (["prepare", "{tmp}", "{tmp}/store"], "no CSV with labels here; pass it with --labels"),
        (["prepare", "{tmp}", "{tmp}/store", "--window", "foggy"], "window 'foggy' is neither C/W"),
        (["inspect", "{tmp}"], "not a finished slice store"),
        (
            ["predict", "M", "S", "--out", "s3://b/p.csv"],
            "--out s3://b/p.csv: must be a path on this machine, not a URI",
        ),
        (["prepare", "{tmp}", "file:///share/store"], "STORE file:///share/store: must be a path on this"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(ichtune, tmp_path, arguments, message):
    code, _, errors = ichtune(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert code == 2
    assert errors.startswith("error: ")
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_too_many_rejections_are_summed_up_with_exit_code_1(ichtune, rsna_folder, tmp_path):
    root = rsna_folder()
    for path in sorted((root / "stage_2_train").iterdir())[:5]:
        path.write_text("no image")
    code, output, errors = ichtune("prepare", root, tmp_path / "store", "--size", 32)
    assert code == 1
    assert "5 rejected" in output
    assert "not a DICOM file" in output
    assert "more than --max-rejected 0.05 allows" in errors
