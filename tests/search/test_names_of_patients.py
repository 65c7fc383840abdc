"""What a source's paths say of patients goes no further than `prepare` where ids are hashed."""

import tempfile
import zipfile
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from ichtune.cli import app
from ichtune.labels import LABELS
from tests.made_up.spaces import SMALL

NAMES = (b"DOE_JOHN", b"ROE_JANE")
pytestmark = pytest.mark.timeout(240)


def write_images(source: Path) -> None:
    """Pictures of eight patients in folders of their names, one of them unreadable."""
    rng, rows = np.random.default_rng(0), []
    for patient in range(8):
        folder = source / f"ROE_JANE_{patient}"
        folder.mkdir(parents=True)
        for number in range(3):
            Image.fromarray(rng.integers(0, 255, (32, 32), dtype=np.uint8)).save(folder / f"{number}.png")
            labels = dict.fromkeys(LABELS, 0) | dict.fromkeys(("epidural", "any"), patient % 2)
            rows.append({"id": f"{folder.name}/{number}.png", "patient": folder.name} | labels)
    (source / "ROE_JANE_0" / "2.png").write_bytes(b"broken")
    pd.DataFrame(rows).to_csv(source / "labels.csv", index=False)


def run(*words: object) -> None:
    done = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0, done.output


def contents(file: Path) -> list[bytes]:
    """A file's name and bytes, and those of what it holds packed."""
    found = [bytes(file), file.read_bytes()]
    if file.suffix == ".xlsx":
        with zipfile.ZipFile(file) as packed:
            found += [packed.read(name) for name in packed.namelist()]
    if file.suffix == ".parquet":
        found.append(pd.read_parquet(file).to_csv().encode())
    return found


@pytest.fixture
def rays() -> Generator[Path]:
    """A folder for Ray's files whose path is short enough for its sockets."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_no_file_of_a_store_a_run_a_report_or_rays_own_has_a_name(one_core, rays, tmp_path, monkeypatch):
    source, home = tmp_path / "DOE_JOHN_1950", tmp_path / "kept"
    write_images(source)
    home.mkdir()
    labels = ("--labels", source / "labels.csv", "--format", "images", "--size", 32, "--folds", 2)
    run("prepare", source, home / "store", *labels, "--hash-ids", "--max-rejected", 0.2, "--workers", 1)
    monkeypatch.setattr("ichtune.cluster.local_ray.private_folder", lambda: nullcontext(rays))  # which stays
    (home / "small.yaml").write_text(yaml.safe_dump(SMALL))
    given = (
        "--data",
        home / "store",
        "--space",
        home / "small.yaml",
        "--runs",
        home / "runs",
        "--name",
        "run",
    )
    run("search", *given, "--trials", 2, "--views", 2, "--max-concurrent", 1)
    run("inspect", home / "store")
    run("report", home / "runs" / "run")
    files = [file for folder in (home, rays) for file in folder.rglob("*") if file.is_file()]
    kinds = {file.name for file in files}
    assert {"rejected.csv", "search.yaml", "report.html", "raylet.out", "inspect.png"} <= kinds
    assert any("tfevents" in kind for kind in kinds)
    found = [file for file in files for content in contents(file) for name in NAMES if name in content]
    assert not found
