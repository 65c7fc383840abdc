"""No link of a stranger leads out of a folder, whether to read or to write."""

import os
import shutil
from pathlib import Path

import pytest

from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.trained_model import TrainedModel
from ichtune.remote import Remote
from ichtune.runs.folder import RunFolder
from tests.made_up.models import write_model_folder
from tests.made_up.records import new_run


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
def test_a_run_with_a_link_out_of_it_is_refused(made_up_copy, secret: Path, ichtune, name: str, command: str):
    replace_by_link(made_up_copy.path / name, secret)
    code, _, errors = ichtune(command, made_up_copy.path)
    assert code == 2
    assert f"{name}: a symbolic link that leads out of" in errors
    assert untouched(secret)


def test_a_search_into_a_folder_with_a_link_out_of_it_is_refused(made_up, secret: Path, tmp_path: Path):
    (tmp_path / "runs" / "new").mkdir(parents=True)
    (tmp_path / "runs" / "new" / "trials").symlink_to(secret)
    with pytest.raises(InputError, match="trials: a symbolic link that leads out of"):
        new_run(tmp_path / "runs" / "new", made_up[1].request)
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
def test_a_pipe_in_a_run_does_not_block(made_up_copy: RunFolder):
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
    with pytest.raises(InputError, match="whose name leads out of the folder"):
        Remote("s3://bucket/run").pull(tmp_path / "copy")
    assert not list(tmp_path.rglob(".bashrc"))
