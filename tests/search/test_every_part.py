"""Every kind of head and loss, on backbones of every source, with two seeds: one search, undisturbed and killed."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.runs.folder import RunFolder
from tests.made_up.dicom import write_rsna
from tests.search.test_search import launched, search, told, wait_for_trials

pytestmark = pytest.mark.timeout(600)
HEADS = {
    "linear": {"name": "linear", "normalize": "standard"},
    "mlp": {"name": "mlp", "hidden": 8, "dropout": 0.2},
    "gru": {"name": "gru", "hidden": 4, "differences": True},
    "lstm": {"name": "lstm", "hidden": 4},
    "attention": {"name": "attention", "hidden": 4, "heads": 2},
    "conv": {"name": "conv", "hidden": 4},
}
BACKBONES = ("resnet18", "timm/mobilenetv3_small_050", "efficientnet_lite0", "cnn5", "fcn", "resnet18")
LOSSES = ("bce", "focal", "mse", "asymmetric", "bce", "focal")
SPACE = {
    "metric": "auc",
    "model": {
        "backbone": {"choice": [*dict.fromkeys(BACKBONES)]},
        "weights": "random",
        "size": 32,
        "neighbours": {"choice": [0, 1]},
        "dropout": 0.2,
    },
    "head": {"choice": list(HEADS.values())},
    "loss": {"choice": [{"name": name} for name in dict.fromkeys(LOSSES)]},
    "training": {"epochs": 2, "batch_size": 8, "mixup": 0.2, "average": 0.5, "precision": "float32"},
    "points": {
        name: {
            "head": {"name": name},
            "model": {"backbone": backbone, "neighbours": place % 2},
            "loss": {"name": loss},
        }
        for place, (name, backbone, loss) in enumerate(zip(HEADS, BACKBONES, LOSSES, strict=True))
    },
}


def options(folder: Path, name: str) -> list[str]:
    given = {
        "data": folder / "store",
        "space": folder / "every.yaml",
        "runs": folder / "runs",
        "name": name,
        "trials": len(HEADS),
        "grace": 2,
        "repeats": 2,
        "folds": 2,
        "views": 1,
        "engine": "torch",
        "max-concurrent": 1,
    }
    return [str(word) for flag, value in given.items() for word in (f"--{flag}", value)]


@pytest.fixture(scope="module")
def folder(one_core: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of scans, and a finished run named `whole`."""
    folder = tmp_path_factory.mktemp("every")
    prepare(
        write_rsna(folder / "rsna", size=32), folder / "store", PrepareOptions(size=32, folds=2, workers=1)
    )
    (folder / "every.yaml").write_text(yaml.safe_dump(SPACE))
    search(options(folder, "whole"))
    return folder


def test_every_head_on_every_backbone_with_every_loss_is_ranked(folder):
    table = pd.read_csv(folder / "runs" / "whole" / "results" / "ranked.csv")[: len(HEADS)]
    assert sorted(table["head"]) == sorted(HEADS)
    assert set(table["model.backbone"]) == set(BACKBONES)
    assert set(table["loss"]) == set(LOSSES)
    assert table["score"].between(0, 1).all()
    assert (table["ended"] == "last epoch").all()
    assert (table["seeds"] == 2).all()


def test_a_search_with_repeats_that_was_killed_ends_as_if_it_had_not_been(folder):
    run = folder / "runs" / "killed"
    with launched(options(folder, "killed")) as searching:
        wait_for_trials(searching, run, 3)
        os.killpg(searching.pid, signal.SIGKILL)
        searching.wait()
    assert len(list((run / "trials").glob("*/epochs.jsonl"))) < len(HEADS)
    search(["--runs", str(folder / "runs"), "--resume", "killed"])
    assert told(RunFolder.open(run)) == told(RunFolder.open(folder / "runs" / "whole"))
