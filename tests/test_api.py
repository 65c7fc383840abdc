import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import ichtune

ROOT = Path(__file__).parents[1]


def test_the_verbs_of_the_api_are_there_and_others_are_not():
    for name in ichtune.__all__:
        assert getattr(ichtune, name)
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        _ = ichtune.serch


def test_importing_ichtune_imports_nothing_heavy():
    script = (
        "import sys, ichtune; print([name for name in ('torch', 'ray', 'pandas') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.strip() == "[]"


def test_a_wheel_holds_the_presets_the_analysis_and_the_viewers_page(tmp_path):
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv to build a wheel")
    built = subprocess.run(
        [uv, "build", "--wheel", "--out-dir", str(tmp_path), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if built.returncode and "fetch" in built.stderr.lower():
        pytest.skip("the build backend can't be fetched here")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    presets = {f"ichtune/search_spaces/{path.name}" for path in (ROOT / "search_spaces").glob("*.yaml")}
    static = ROOT / "ichtune" / "viewer" / "static"
    page = {path.relative_to(ROOT).as_posix() for path in static.rglob("*.*")}
    assert {"ichtune/viewer/static/vendor/cornerstone-licences.txt"} <= page
    assert presets | page | {"ichtune/cli.py", "analysis/results.py"} <= names
    assert not [name for name in names if "node_modules" in name or "viewer/bundle" in name]
