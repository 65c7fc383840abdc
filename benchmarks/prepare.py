"""Speed of `ichtune prepare`, compared with bare decoding and with the plain way, on the same files in one run.

    python benchmarks/prepare.py [--files 40000] [--workers 2]

The default is a twentieth of the RSNA 2019 data, so that prepare's three seconds of imports and tables weigh about as
much as in practice. The plain way, which has no such overhead, is timed on every tenth file.

Prints JSON: slices per second of each way, the ratios, and the memory of prepare's largest process.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
from pydicom import config

from ichtune.data.phantom.write import write_phantoms
from ichtune.labels import LABELS

config.settings.reading_validation_mode = config.IGNORE


def make_files(root: Path, count: int) -> list[Path]:
    """Make an RSNA-like set of `count` uncompressed 512 x 512 files: made-up heads, each repeated several times."""
    write_phantoms(root / "phantom", patients=20)
    originals = sorted((root / "phantom" / "stage_2_train").iterdir())
    labels = pd.read_csv(root / "phantom" / "stage_2_train.csv")
    wide = labels["Label"].to_numpy().reshape(-1, len(LABELS))
    order = {name: row for row, name in enumerate(labels["ID"][:: len(LABELS)].str.rpartition("_")[0])}
    folder = root / "set" / "stage_2_train"
    folder.mkdir(parents=True)
    rows, files = [], []
    for number in range(count):
        original = originals[number % len(originals)]
        name = f"ID_{number:09x}"
        os.link(original, folder / f"{name}.dcm")
        files.append(folder / f"{name}.dcm")
        six = wide[order[original.stem]]
        rows += [(f"{name}_{label}", value) for label, value in zip(LABELS, six, strict=True)]
    pd.DataFrame(rows, columns=["ID", "Label"]).to_csv(root / "set" / "stage_2_train.csv", index=False)
    return files


def decode(path: Path) -> int:
    """Decode with bare pydicom."""
    return int(pydicom.dcmread(path).pixel_array[0, 0])


def plain_way(path: Path, out: Path) -> None:
    """Do what tutorials do: dcmread, window, resize, save a PNG."""
    ds = pydicom.dcmread(path)
    hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    grey = np.clip(hu / 80, 0, 1) * 255
    cv2.imwrite(str(out / f"{path.stem}.png"), cv2.resize(grey.astype(np.uint8), (256, 256)))


def rate(count: int, work: Callable[[], object]) -> float:
    os.sync()  # flush what the previous way wrote, so that it doesn't slow this one down
    begun = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun)


def decode_all(files: list[Path], workers: int) -> None:
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(decode, files, chunksize=32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=40000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = make_files(root, args.files)
        (root / "png").mkdir()
        command = [sys.executable, "-m", "ichtune.cli", "prepare", str(root / "set"), str(root / "store")]
        command += ["--workers", str(args.workers)]
        ways = {
            "bare_decode": (len(files), lambda: decode_all(files, args.workers)),
            "prepare": (len(files), lambda: subprocess.run(command, check=True, capture_output=True)),
            "plain_way": (len(files) // 10, lambda: [plain_way(path, root / "png") for path in files[::10]]),
        }
        decode_all(files[:64], args.workers)  # bring files and libraries into the page cache
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.repeats):  # in turn, so that a busy moment affects all ways alike
            for name, (count, work) in ways.items():
                rates[name].append(rate(count, work))
            shutil.rmtree(root / "store")
    best = {name: max(values) for name, values in rates.items()}
    print(
        json.dumps(
            {
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "files": args.files,
                "workers": args.workers,
                "slices_per_s": {name: [round(value) for value in values] for name, values in rates.items()},
                "prepare_to_bare_decode": round(best["prepare"] / best["bare_decode"], 2),
                "prepare_to_plain_way": round(best["prepare"] / best["plain_way"], 2),
                "largest_process_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
