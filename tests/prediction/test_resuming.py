"""A killed run goes on where it stopped, and never with another model, input or option."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ichtune.errors import InputError
from ichtune.prediction.options import PredictOptions
from ichtune.prediction.predict import predict
from tests.made_up.dicom import write_rsna
from tests.made_up.models import CNN5, write_model_folder

KILLED = """
import os, signal
from pathlib import Path
from ichtune.prediction.options import PredictOptions
from ichtune.prediction.predict import predict

def killed(done, total, remark):
    if done >= 60:
        os.kill(os.getpid(), signal.SIGKILL)

predict([Path("{model}")], Path("{root}"), Path("{out}"), PredictOptions(workers=1), killed)
"""
ONE = PredictOptions(workers=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rsna(tmp_path_factory.mktemp("rsna") / "rsna", patients=20, slices=6, size=16)


class Stopped(Exception):
    pass


def stop_at(slices: int):
    def report(done: int, total: int, remark: str) -> None:
        if done >= slices:
            raise Stopped

    return report


def stopped(model: Path, root: Path, out: Path, options: PredictOptions = ONE) -> Path:
    """Predictions stopped after 64 of 120 slices."""
    with pytest.raises(Stopped):
        predict([model], root, out, options, stop_at(60))
    assert not out.exists()
    return out


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(model, root, tmp_path):
    out = tmp_path / "killed.csv"
    script = KILLED.format(model=model, root=root, out=out)
    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert not out.exists()
    with open(tmp_path / "killed.csv.partial" / "rows.arrows", "ab") as file:
        file.write(b"\xff\xff\xff\xff half a batch")
    seen = []
    predict([model], root, out, ONE, lambda done, total, remark: seen.append(done))
    assert next(filter(None, seen)) == 64
    predict([model], root, tmp_path / "whole.csv", ONE)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert (tmp_path / "killed.scans.csv").read_bytes() == (tmp_path / "whole.scans.csv").read_bytes()
    assert not (tmp_path / "killed.csv.partial").exists()


def test_another_model_does_not_go_on(model, root, tmp_path):
    out = stopped(model, root, tmp_path / "p.csv")
    other = write_model_folder(tmp_path / "other", CNN5, seed=1)
    with pytest.raises(
        InputError, match="unfinished predictions with another model; choose another --out, or delete"
    ):
        predict([other], root, out, ONE)


def test_other_files_do_not_go_on(model, root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "rsna")
    out = stopped(model, copy, tmp_path / "p.csv")
    (copy / "stage_2_train" / "ID_000000000.dcm").write_bytes(b"changed")
    with pytest.raises(InputError, match="unfinished predictions with another input"):
        predict([model], copy, out, ONE)


def test_other_options_do_not_go_on(model, root, tmp_path):
    out = stopped(model, root, tmp_path / "p.csv")
    with pytest.raises(InputError, match="unfinished predictions with another --tta and another --window"):
        predict([model], root, out, PredictOptions(workers=1, tta="flips", window="80/200"))


def test_ctrl_c_says_that_the_same_command_resumes(ichtune, model, root, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ichtune.prediction.predict.rows_of", interrupt)
    code, _, errors = ichtune("predict", model, root, "--out", tmp_path / "p.csv", "--workers", 1)
    assert code == 130
    assert "interrupted; run the same command again to resume" in errors
    assert (tmp_path / "p.csv.partial" / "plan.json").is_file()


def test_a_kill_between_the_last_two_files_is_no_finished_work_in_the_way(model, root, tmp_path):
    out = stopped(model, root, tmp_path / "p.csv")
    (tmp_path / "p.scans.csv").write_text("by scan")
    predict([model], root, out, ONE)
    assert (tmp_path / "p.scans.csv").read_text() != "by scan"
