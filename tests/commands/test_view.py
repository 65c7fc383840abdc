"""`ichtune view` on the command line."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.made_up.chromium import Chromium, find_chromium
from tests.made_up.models import write_model_folder
from tests.made_up.viewers import write_steps

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model_folder(tmp_path_factory.mktemp("model") / "mine")


def test_a_folder_without_a_model_is_refused(ichtune: Run, tmp_path: Path):
    code, _out, errors = ichtune("view", tmp_path, "--no-browser")
    assert code == 2
    assert "no model here (no model.yaml)" in errors


def test_a_folder_without_slices_is_refused(ichtune: Run, model: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("nothing")
    code, _out, errors = ichtune("view", model, tmp_path, "--no-browser")
    assert code == 2
    assert errors.startswith(
        f"error: {tmp_path}: no CT slice in 1 file (the first: notes.txt: not a DICOM file"
    )


def test_a_folder_larger_than_allowed_is_refused(ichtune: Run, model: Path, tmp_path: Path):
    folder = write_steps(tmp_path / "study", 3, size=512)
    code, _out, errors = ichtune("view", model, folder, "--no-browser", "--max-upload", 1)
    assert code == 2
    assert "take more than 1 MiB; open a single study, or raise --max-upload" in errors


def test_it_serves_the_page_until_it_is_interrupted_and_then_ends_quietly(model: Path, tmp_path: Path):
    with started(model, write_steps(tmp_path / "study", 3)) as (process, url):
        found = re.match(r"(http://127\.0\.0\.1:\d+/)#\S{32}", url)
        assert found
        with urllib.request.urlopen(found[1], timeout=30) as answer:
            assert b"Research software, not a medical device" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(found[1] + "api/study", timeout=30)
        errors = interrupted(process)
    assert process.returncode == 0
    assert errors == ""


def test_a_page_whose_viewer_has_ended_says_so(model: Path, tmp_path: Path):
    if find_chromium() is None:
        pytest.skip("needs Chromium or Chrome")
    folder = write_steps(tmp_path / "study", 3)
    with (
        Chromium.open(tmp_path / "profile", "--disable-3d-apis") as browser,
        started(model) as (process, url),
    ):
        browser.go(url, 1280)
        browser.wait("document.querySelector('#names').children.length == 6")
        interrupted(process)
        browser.drop(browser.center("#viewport"), [folder])
        browser.wait("!document.querySelector('#messages').hidden")
        assert "start it again in the terminal" in browser.run(
            "document.querySelector('#messages').textContent"
        )


def test_the_browser_is_opened_without_the_token_in_its_command_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if find_chromium() is None:
        pytest.skip("needs Chromium or Chrome")
    given = tmp_path / "arguments"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\nprintf %s "$*" > {given}.new && mv {given}.new {given}\n')
    script.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(script))
    with (
        Chromium.open(tmp_path / "profile", "--disable-3d-apis") as browser,
        started(model, opening=True) as (process, url),
    ):
        waited(given.exists)
        page = Path(given.read_text().removeprefix("file://"))
        assert url.partition("#")[2] not in given.read_text()
        assert page.stat().st_mode & 0o77 == page.parent.stat().st_mode & 0o77 == 0
        browser.go(page.as_uri(), 1280)
        browser.wait("document.querySelector('#names')?.children.length == 6")
        interrupted(process)
    assert not page.parent.exists()


def waited(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def started(model: Path, *folder: Path, opening: bool = False) -> Generator[tuple[subprocess.Popen, str]]:
    """The command as a process of its own, and the address that it shows."""
    command = [sys.executable, "-m", "ichtune.cli", "view", *map(str, (model, *folder))]
    command += [] if opening else ["--no-browser"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            shown = next(line for line in iter(process.stdout.readline, "") if line.startswith("page: "))
            yield process, shown.split()[1]
        finally:
            process.kill()


def interrupted(process: subprocess.Popen) -> str:
    """What a process says on stderr when Ctrl-C ends it."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=60)[1]
