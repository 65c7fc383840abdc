"""Models at a URI: copied once to a machine, brought up to date, and used as those in a folder are."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ichtune.data import node_copy
from ichtune.errors import InputError
from ichtune.inference.about import ModelError
from ichtune.inference.model_place import ModelPlace
from ichtune.inference.trained_model import TrainedModel
from ichtune.remote import Remote
from tests.made_up.bucket import bucket
from tests.made_up.models import CNN5, write_ensemble_folder, write_model_folder

HU = np.random.default_rng(3).integers(-50, 250, (5, 32, 32)).astype(np.int16)
HOUR_NS = 3600 * 10**9


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(node_copy, "_held", {})
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def away(tmp_path) -> Path:
    """A model at a place that all machines reach, where it has been for an hour."""
    (tmp_path / "models").mkdir()
    return an_hour_ago(write_model_folder(tmp_path / "models" / "x", CNN5))


def an_hour_ago(folder: Path) -> Path:
    then = time.time_ns() - HOUR_NS
    for file in folder.rglob("*.*"):
        os.utime(file, ns=(then, then))
    return folder


def test_a_model_at_a_uri_predicts_as_the_folder_does(away):
    np.testing.assert_array_equal(
        TrainedModel.open(away.as_uri()).predict(HU), TrainedModel.open(away).predict(HU)
    )


def test_only_what_has_changed_is_copied_again(away, tmp_path):
    weights = ModelPlace.of(away.as_uri()).folder / "weights.safetensors"
    first = weights.stat().st_ino
    ModelPlace.of(away.as_uri())
    assert weights.stat().st_ino == first
    shutil.rmtree(away)
    other = write_model_folder(away, CNN5, seed=1)
    np.testing.assert_array_equal(
        TrainedModel.open(away.as_uri()).predict(HU), TrainedModel.open(other).predict(HU)
    )


def test_a_model_that_replaces_one_is_copied_even_if_its_files_are_older(away, tmp_path):
    ModelPlace.of(away.as_uri())
    shutil.rmtree(away)
    other = write_model_folder(away, CNN5, seed=1)
    for file in other.glob("*.*"):
        os.utime(file, ns=(1, 1))
    np.testing.assert_array_equal(
        TrainedModel.open(away.as_uri()).predict(HU), TrainedModel.open(other).predict(HU)
    )


def test_what_the_place_no_longer_says_of_the_training_is_forgotten(away):
    (away / "training_data.safetensors").write_bytes(b"hashes")
    copy = ModelPlace.of(away.as_uri()).folder
    assert (copy / "training_data.safetensors").is_file()
    (away / "training_data.safetensors").unlink()
    ModelPlace.of(away.as_uri())
    assert not (copy / "training_data.safetensors").exists()


def test_of_an_ensemble_the_members_are_copied_and_nothing_that_was_made_of_it(tmp_path):
    away = write_ensemble_folder(tmp_path / "ensemble")
    write_model_folder(away / "finetuned-store", CNN5)
    (away / "model.onnx").write_text("exported")
    copy = ModelPlace.of(away.as_uri()).folder
    assert sorted(path.name for path in copy.iterdir()) == ["fold0", "fold1", "model.yaml"]
    np.testing.assert_array_equal(TrainedModel.open(copy).predict(HU), TrainedModel.open(away).predict(HU))


def test_results_of_a_model_at_a_uri_go_to_the_current_folder(away, tmp_path):
    assert ModelPlace.of(away).results("explain") == away / "explain"
    assert ModelPlace.of(away.as_uri()).results("explain") == tmp_path / "x-explain"


def test_a_uri_without_a_model_or_with_credentials_is_refused():
    with pytest.raises(
        ModelError, match=r"file:///nowhere/x: no model here \(no model.yaml\); check the URI"
    ):
        TrainedModel.open("file:///nowhere/x")
    with pytest.raises(InputError, match="MODEL: the URI holds credentials"):
        TrainedModel.open("s3://key:secret@bucket/x")


@pytest.mark.timeout(120)
def test_slices_and_model_at_s3_are_predicted_and_downloaded_once(
    ichtune, away, prepared, tmp_path, monkeypatch
):
    monkeypatch.setattr("ichtune.remote.SAME_TIME_NS", -(10**12))  # as if all were older than a moment
    with bucket(tmp_path, monkeypatch) as s3:
        model, store = s3.uri("models/x"), s3.uri("heads")
        Remote(model).push(away, {})
        Remote(store).push(prepared.path, {})
        given = ["--workers", 1, "--out"]
        for table in ("first.csv", "second.csv"):
            assert ichtune("predict", model, store, *given, table)[0] == 0
        ichtune("predict", away, prepared.path, *given, "here.csv")
        assert s3.downloads("models/x/weights.safetensors") == s3.downloads("heads/hu.npy") == 1
    pd.testing.assert_frame_equal(pd.read_csv("second.csv"), pd.read_csv("here.csv"))
