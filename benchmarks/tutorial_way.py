"""A search as in the tutorials of Ray Tune, PyTorch and albumentations: images and network run again in every epoch.

    python benchmarks/tutorial_way.py STORE [--epochs 10] [--fold 0] [--pilot-slices 256]

The store's slices are first written as grey PNG files in the brain window, which isn't timed. In every epoch a frozen
ResNet-18 with random weights runs on these images at 224 x 224, newly augmented, and a linear head is trained on its
features. Ray Tune trains two trials at a time with OptunaSearch and ASHA, each on one fold.

Prints JSON: images per second of each setup, on a few slices; and for the fastest one, on all slices, the seconds per
epoch of a trial and the AUC of the baseline trial after each epoch. Epochs are timed while two trials train, after the
first epoch of both, and divided between the two; they exclude `start_s`, the seconds until both are in their first
epoch.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

# Ray reads its settings when it is imported: no copy of the environment under `uv run`, and no tables on stdout.
os.environ |= {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}

import albumentations as A
import cv2
import numpy as np
import pandas as pd
import ray
import torch
from albumentations.pytorch import ToTensorV2
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models import resnet18

from ichtune.data.store import SliceStore
from ichtune.labels import LABELS
from ichtune.models.precision import resolved
from ichtune.windows import WINDOWS, apply_window

BFLOAT16 = resolved("auto") == "bfloat16"
SIZE, BATCH, PILOT_EPOCHS, AT_ONCE = 224, 64, 3, 2
AUGMENTATIONS = {
    "normal": [],
    "moderate": [
        A.Rotate(limit=(-15, 15), border_mode=cv2.BORDER_CONSTANT, fill=0, p=0.5),
        A.HorizontalFlip(p=0.5),
        A.RandomBrightnessContrast(brightness_limit=(-0.05, 0.05), contrast_limit=(-0.05, 0.05), p=0.3),
        A.OneOf([A.CLAHE(clip_limit=(1, 3), p=1), A.RandomGamma(gamma_limit=(80, 120), p=1)], p=0.5),
        A.CoarseDropout(
            num_holes_range=(3, 6), hole_height_range=(7, 7), hole_width_range=(7, 7), fill=0, p=0.5
        ),
    ],
}
SPACE = {"lr": tune.loguniform(1e-5, 1e-2), "augmentation": tune.choice(list(AUGMENTATIONS))}
BASELINE = {"lr": 1e-3, "augmentation": "normal"}


@dataclass(frozen=True)
class Setup:
    """Choices that don't change the training itself."""

    tuned: bool
    """Whether to use channels_last, and bfloat16 autocast if the CPU supports it natively."""
    workers: int
    """Number of processes that load a trial's images."""


SETUPS = [Setup(tuned, workers) for tuned in (False, True) for workers in (1, 2)]


class SliceImages(Dataset):
    """Image files with their labels: float32 `[1, 224, 224]` in -1..1, and `[6]`."""

    def __init__(self, folder: Path, slices: pd.DataFrame, augmentation: str) -> None:
        self.files = [str(folder / name) for name in slices["file"]]
        self.labels = slices.drop(columns=["file", "fold"]).to_numpy(np.float32)
        resize = A.Resize(SIZE, SIZE, interpolation=cv2.INTER_AREA)
        finish = [A.Normalize(mean=(0.5,), std=(0.5,)), ToTensorV2()]
        self.transform = A.Compose([resize, *AUGMENTATIONS[augmentation], *finish])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, np.ndarray]:
        image = cv2.imread(self.files[index], cv2.IMREAD_GRAYSCALE)
        return self.transform(image=image)["image"], self.labels[index]


class FrozenFeatures(nn.Module):
    """Features `[n, 512]` of grey images, from a ResNet-18 that is never trained."""

    def __init__(self, tuned: bool) -> None:
        super().__init__()
        self.tuned = tuned
        self.network = resnet18(weights=None)
        self.network.fc = nn.Identity()
        self.network.eval().requires_grad_(False)
        if tuned:
            self.network.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = images.expand(-1, 3, -1, -1)
        if self.tuned:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.tuned and BFLOAT16):
            return self.network(images).float()


def train(config: dict, folder: Path, slices: pd.DataFrame, fold: int, epochs: int, setup: Setup) -> None:
    """Train a trial, as a Ray Tune function."""
    cv2.setNumThreads(0)  # the loader's processes already run in parallel
    torch.manual_seed(0)
    backbone = FrozenFeatures(setup.tuned)
    load = partial(DataLoader, batch_size=BATCH, num_workers=setup.workers, persistent_workers=True)
    training = SliceImages(folder, slices[slices["fold"] != fold], config["augmentation"])
    validation = SliceImages(folder, slices[slices["fold"] == fold], "normal")
    train_loader = load(training, shuffle=True)
    valid_loader = load(validation)
    head = nn.Linear(512, training.labels.shape[1])
    optimizer = torch.optim.Adam(head.parameters(), lr=config["lr"])
    loss_function = nn.BCEWithLogitsLoss()

    for epoch in range(1, epochs + 1):
        began = time.time()
        for images, labels in train_loader:
            loss = loss_function(head(backbone(images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            logits = torch.cat([head(backbone(images)) for images, _ in valid_loader]).numpy()
        auc = macro_auc(validation.labels, logits)
        tune.report({"epoch": epoch, "auc": auc, "began": began, "ended": time.time()})


def macro_auc(labels: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean AUC over labels that have both classes."""
    defined = [label for label in range(labels.shape[1]) if 0 < labels[:, label].sum() < len(labels)]
    aucs = [roc_auc_score(labels[:, label], logits[:, label]) for label in defined]
    return float(np.mean(aucs)) if aucs else 0.5


@dataclass(frozen=True)
class Trials:
    """The reported epochs of trials that trained at the same time, the baseline first."""

    reports: Sequence[pd.DataFrame]
    fit_called: float

    def seconds_per_epoch(self) -> float:
        """Return the seconds per epoch of a trial, from when all have finished their first epoch until one trial ends.

        Raises:
            ValueError: there were too few epochs to time any.
        """
        begin = max(trial["ended"].iloc[0] for trial in self.reports)
        end = min(trial["ended"].iloc[-1] for trial in self.reports)
        if begin >= end:
            raise ValueError("one trial ended before the other's first epoch did: take more epochs")
        return (end - begin) / sum(epochs_done(trial, begin, end) for trial in self.reports)

    @property
    def start_s(self) -> float:
        """Return the seconds until all were in their first epoch."""
        return max(trial["began"].iloc[0] for trial in self.reports) - self.fit_called


def epochs_done(trial: pd.DataFrame, begin: float, end: float) -> float:
    """Return how many epochs a trial did between two times, counting fractions of the first and last."""
    within = trial["ended"].clip(upper=end) - trial["began"].clip(lower=begin)
    return float((within.clip(lower=0) / (trial["ended"] - trial["began"])).sum())


def search(folder: Path, slices: pd.DataFrame, fold: int, epochs: int, setup: Setup) -> Trials:
    """Run the first two trials of a search: the baseline, and the same with augmentation."""
    trainable = tune.with_parameters(
        train, folder=folder, slices=slices, fold=fold, epochs=epochs, setup=setup
    )
    points = [BASELINE, BASELINE | {"augmentation": "moderate"}]
    with tempfile.TemporaryDirectory() as storage:
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space=SPACE,
            tune_config=tune.TuneConfig(
                metric="auc",
                mode="max",
                search_alg=OptunaSearch(points_to_evaluate=points),
                # The grace covers all epochs, so that whole trials are timed.
                scheduler=ASHAScheduler(max_t=epochs, grace_period=epochs),
                num_samples=AT_ONCE,
                max_concurrent_trials=AT_ONCE,
            ),
            run_config=tune.RunConfig(storage_path=storage, verbose=0),
        )
        called = time.time()
        results = tuner.fit()
    if results.num_errors:
        raise RuntimeError(f"trials failed: {results.errors[0]}")
    # In the order of creation, which is that of the points.
    return Trials([pd.DataFrame(result.metrics_dataframe) for result in results], called)


def write_images(store: SliceStore, folder: Path) -> pd.DataFrame:
    """Write a PNG per slice outside the test set, and return their table: file, fold, and a column per label."""
    for row in store.train:
        grey = np.rint(apply_window(store.hu[row], WINDOWS["brain"]) * 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{row}.png"), grey)
    table = store.table.iloc[store.train][["fold", *LABELS]]
    if table.isna().any(axis=None):
        raise SystemExit(f"{store.path}: has unknown labels; this way can't train on them")
    return table.assign(file=[f"{row}.png" for row in store.train])


def measure(
    folder: Path, slices: pd.DataFrame, fold: int, epochs: int, pilot_slices: int
) -> dict[str, object]:
    pilot = slices.sample(min(pilot_slices, len(slices)), random_state=0)
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    pilots = {setup: search(folder, pilot, fold, PILOT_EPOCHS, setup) for setup in SETUPS}
    rates = {setup: len(pilot) / trials.seconds_per_epoch() for setup, trials in pilots.items()}
    best = max(rates, key=lambda setup: rates[setup])
    trials = search(folder, slices, fold, epochs, best)
    ray.shutdown()
    float32_rate = max(rate for setup, rate in rates.items() if not setup.tuned)
    return {
        "slices": len(slices),
        "pilot_slices": len(pilot),
        "setups": [asdict(setup) | {"images_per_s": rate} for setup, rate in rates.items()],
        "best": asdict(best),
        "epochs": epochs,
        "s_per_epoch": trials.seconds_per_epoch(),
        # By the pilots' ratio, so that the overhead of short epochs doesn't count against it.
        "s_per_epoch_float32": trials.seconds_per_epoch() * rates[best] / float32_rate,
        "start_s": trials.start_s,
        "baseline_auc": trials.reports[0]["auc"].tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--pilot-slices", type=int, default=256)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slices = write_images(SliceStore.open(arguments.store), folder)
        figures = measure(folder, slices, arguments.fold, arguments.epochs, arguments.pilot_slices)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
