"""Speed and memory of `ichtune predict`, compared with a bare loop of decoding and the network on the same files.

    python benchmarks/predict.py [--files 1000 10000] [--workers 2] [--size 128] [--backbone efficientnet_lite0]

The files are slices of ten made-up heads, again and again with other identifiers, so that there are scans of about
thirty slices. The bare loop is a process pool that decodes with pydicom and resizes, and torch's network on batches of
32; it names no file, keeps no order of scans, and writes nothing. It is timed without its imports, the command with
them (a few seconds). `--side 128` makes files of a sixteenth of the size, where a disk is small.

Prints JSON: slices per second of both ways for each number of files, their ratio, and the largest memory of the process
that predicts, with and without its readers.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import psutil
import pydicom
import torch
from pydicom import config

from ichtune.data.phantom.write import write_phantoms
from ichtune.inference.about import Origin, Preprocessing
from ichtune.inference.classifier import Classifier
from ichtune.inference.model_folder import write_model
from ichtune.inference.trained_model import TrainedModel
from ichtune.models.backbones import build_backbone
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.recipe import Model, Recipe

config.settings.reading_validation_mode = config.IGNORE
BATCH = 32


def make_files(root: Path, counts: list[int], side: int) -> None:
    """Make folders of this many files each: made-up heads, the same heads again with other identifiers."""
    write_phantoms(root / "phantom", patients=10)
    originals = sorted((root / "phantom" / "stage_2_train").iterdir())
    headers = [smaller(pydicom.dcmread(file), side) for file in originals]
    for count in counts:
        folder = root / f"files{count}"
        folder.mkdir()
        for number in range(count):
            again, which = divmod(number, len(originals))
            ds = headers[which]
            name = ds.SeriesInstanceUID
            ds.SeriesInstanceUID = f"{name}.{again}"
            ds.StudyInstanceUID, study = f"{ds.StudyInstanceUID}.{again}", ds.StudyInstanceUID
            ds.save_as(folder / f"ID_{number:09x}.dcm")
            ds.SeriesInstanceUID, ds.StudyInstanceUID = name, study


def smaller(ds: pydicom.Dataset, side: int) -> pydicom.Dataset:
    """Return a slice with every nth row and column alone."""
    step = ds.Rows // side
    pixels = np.ascontiguousarray(ds.pixel_array[::step, ::step])
    ds.Rows, ds.Columns, ds.PixelData = *pixels.shape, pixels.tobytes()
    return ds


def make_model(folder: Path, backbone: str, size: int) -> None:
    """Write a model of random weights, whose speed is that of a trained one."""
    recipe = Recipe(model=Model(backbone=backbone, weights="random", size=size, train="all"))
    network = build_backbone(recipe.model, seed=0, precision=recipe.training.precision)
    folder.mkdir()
    write_model(
        folder,
        Classifier.of(Network(network, make_heads(recipe, network.width, [0]))),
        preprocessing=Preprocessing.of(recipe.model),
        recipe=recipe,
        fingerprint="made up",
        origin=Origin(run="r", rank=1, trial="t", fold=0, head="warm", epoch=1, seed=0, differences={}),
        versions={},
    )


def decode(size: int, files: list[Path]) -> np.ndarray:
    """Return the slices of a batch, int16 [n, size, size]."""
    slices = []
    for file in files:
        ds = pydicom.dcmread(file)
        hu = ds.pixel_array.astype(np.float32) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        slices.append(cv2.resize(hu.astype(np.int16), (size, size), interpolation=cv2.INTER_AREA))
    return np.stack(slices)


@torch.inference_mode()
def bare_loop(files: list[Path], model: Path, size: int, workers: int) -> float:
    """Return the seconds of decoding and the network, with its windows, alone."""
    network = TrainedModel.open(model)
    begun = time.perf_counter()
    batches = [files[first : first + BATCH] for first in range(0, len(files), BATCH)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for hu in pool.map(partial(decode, size), batches):
            grey = np.rint(np.clip(hu / np.float32(80), 0, 1) * 255) / 255
            images = torch.from_numpy(grey[:, None]).float().to(network.device)
            channels = len(network.about.preprocessing.windows)
            network.networks[0](images.repeat(1, channels, 1, 1)).sigmoid().cpu()
    return time.perf_counter() - begun


def predict(folder: Path, model: Path, out: Path, workers: int) -> tuple[float, float, float]:
    """Return the seconds of the command, and its largest memory in MiB: of its own process, and with its readers."""
    command = [sys.executable, "-m", "ichtune.cli", "predict", str(model), str(folder), "--out", str(out)]
    begun = time.perf_counter()
    run = subprocess.Popen([*command, "--workers", str(workers)], stdout=subprocess.DEVNULL)
    largest = [0.0, 0.0]
    watching = threading.Thread(target=watch, args=(run, largest))
    watching.start()
    if run.wait():
        raise SystemExit(f"{' '.join(command)} failed")
    seconds = time.perf_counter() - begun
    watching.join()
    return seconds, largest[0], largest[1]


def watch(run: subprocess.Popen[bytes], largest: list[float]) -> None:
    """Note the largest memory (resident, in MiB) of a process, and with the processes that it started."""
    while run.poll() is None:
        try:
            process = psutil.Process(run.pid)
            own = process.memory_info().rss / 2**20
            readers = sum(child.memory_info().rss / 2**20 for child in process.children(recursive=True))
        except psutil.NoSuchProcess:
            continue
        largest[:] = max(largest[0], own), max(largest[1], own + readers)
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_files(root, args.files, args.side)
        make_model(root / "model", args.backbone, args.size)
        for count in args.files:
            files = sorted((root / f"files{count}").iterdir())
            decode(args.size, files[:BATCH])
            bare = bare_loop(files, root / "model", args.size, args.workers)
            seconds, own, all_of_it = predict(
                root / f"files{count}", root / "model", root / f"p{count}.csv", args.workers
            )
            results.append(
                {
                    "files": count,
                    "bare_loop_per_s": round(count / bare, 1),
                    "predict_per_s": round(count / seconds, 1),
                    "predict_to_bare_loop": round(bare / seconds, 2),
                    "predicting_process_mib": round(own),
                    "with_readers_mib": round(all_of_it),
                }
            )
    about = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'}",
        "backbone": args.backbone,
        "side_of_files": args.side,
        "size": args.size,
        "workers": args.workers,
    }
    print(json.dumps(about | {"runs": results}, indent=2))


if __name__ == "__main__":
    main()
