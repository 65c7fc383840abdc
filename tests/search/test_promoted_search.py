"""A search that fine-tunes promoted recipes goes on after it was interrupted, and after it was killed."""

import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from analysis.promotion.choose import promote
from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder
from ichtune.runs.settings import SearchSettings
from ichtune.search.plan import plan
from ichtune.search.trial import TrialJob
from ichtune.space import Space
from tests.made_up.records import new_run
from tests.made_up.searches import run_trial, search_without_ray
from tests.made_up.spaces import SMALL
from tests.search.test_search import LAUNCH, end, launched, wait_for

pytestmark = pytest.mark.timeout(240)

QUICK = SMALL | {
    "model": {"backbone": "fcn", "widths": [8, 8, 8], "weights": "random", "size": 32, "dropout": 0.1}
}
FIXED = {
    "model.train": 2,
    "model.size": 32,
    "finetuning.backbone_rate": 0.3,
    "finetuning.layer_decay": {"choice": [1.0, 0.5]},
    "finetuning.batch_norm": "kept",
    "training.epochs": 60,
    "training.patience": None,
    "training.mixup": 0,
    "training.average": 0.9,
    "phases": None,
}
"""What makes the preset a small grid: two values for each recipe."""


@pytest.fixture(scope="module")
def frozen(prepared: SliceStore, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run of two recipes on a frozen backbone."""
    folder = tmp_path_factory.mktemp("promoted")
    settings = SearchSettings(runs=folder / "runs", name="frozen", folds=2, views=2, engine="torch")
    store = shutil.copytree(prepared.path, folder / "store")
    recipes = [
        (
            {"optimizer": "adam", "optimizer.adam.lr": rate, "augmentation": "normal"},
            None,
        )
        for rate in (1e-3, 1e-2)
    ]
    return search_without_ray(SliceStore.open(store), Space.parse(QUICK, "quick.yaml"), settings, recipes)


def losses(run: RunFolder) -> dict[str, list[list[float]]]:
    """The loss of each fold in each epoch of each recipe."""
    return {
        record.recipe_hash: [epoch.folds["train_loss"] for epoch in record.epochs]
        for record in run.trial_records()
    }


def uninterrupted(
    frozen: RunFolder, folder: Path, changes: Mapping[str, object]
) -> dict[str, list[list[float]]]:
    """The losses of a search that promotes a run, with these changes, when trained here one trial after the other."""
    settings = SearchSettings(promote=str(frozen), name="whole", runs=folder)
    made = promote(settings, changes, given=set())
    planned = plan(made.data, made.space, made.settings, made.promotion)
    run = new_run(planned.run, planned.request)
    made.promotion.write(run)
    job = TrialJob(planned.experiment, planned.space, run, threads=1, promotes=True)
    for number, params in enumerate(made.space.grid()):
        run_trial(job, {"number": number, "params": params, "point": None})
    return losses(run)


def test_a_promoted_search_goes_on_after_a_signal_and_a_kill_as_if_there_had_been_none(
    frozen: RunFolder, one_core: None, tmp_path: Path
):
    sets = [f"--set={key}={value if value is not None else 'null'}" for key, value in FIXED.items()]
    begin = ["--promote", str(frozen), "--space", "finetune", *sets, "--sampler", "grid", "--grace", "60"]
    run = RunFolder.at(tmp_path / "tuned")

    def under_way(done: int) -> bool:
        """Whether so many trials are done, and another has come to a checkpoint."""
        folders = [folder for folder in run.trials.glob("*") if (folder / "epochs.jsonl").is_file()]
        return len(folders) > done and any((folder / "checkpoint.pt").is_file() for folder in folders)

    with launched([*begin, "--runs", str(tmp_path), "--name", "tuned", "--max-concurrent", "1"]) as search:
        wait_for(search, lambda: under_way(0))
        code, output, errors = end(search, signal.SIGINT)
    assert code == 130, errors
    assert f"--runs {tmp_path} --resume tuned" in output
    again = ["--runs", str(tmp_path), "--resume", "tuned"]
    with launched(again) as search:
        wait_for(search, lambda: under_way(1))
        search.kill()
    done = subprocess.run([*LAUNCH, *again], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    expected = uninterrupted(frozen, tmp_path / "other", Space.written("finetune") | FIXED)
    assert len(expected) == 4
    assert {len(epochs) for epochs in expected.values()} == {60}
    assert losses(run) == expected
