"""A short form of the soak benchmark: a search under attack loses nothing, and counts nothing twice."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from tests.made_up.dicom import write_rsna

SOAK = Path(__file__).parents[1] / "benchmarks" / "soak.py"


@pytest.mark.timeout(420)
def test_a_search_under_attack_ends_with_its_trials_and_the_right_scores(
    tmp_path,
):
    if importlib.util.find_spec("psutil") is None:
        pytest.skip("needs psutil, of the development dependencies")
    source = write_rsna(tmp_path / "rsna", size=64, patients=12)
    prepare(source, tmp_path / "store", PrepareOptions(size=64, folds=3, workers=1))
    command = [sys.executable, SOAK, "--data", tmp_path / "store", "--trials", 8, "--every", 1, "--seed", 5]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=410, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    figures = json.loads(done.stdout[done.stdout.index("{") :])
    assert figures["trials"] == figures["distinct"] == figures["folders"] == 8
    assert figures["running"] == figures["wrong"] == 0
    assert {"process killed", "driver killed"} <= figures["harm"].keys()
    assert figures["exceptions"] >= 1
    assert figures["ends"]["diverged"] >= 1
