"""Speed of `ichtune prepare` on NIfTI volumes, compared with bare nibabel in as many processes, in one run.

    python benchmarks/volumes.py [--volumes 120] [--workers 2] [--thin]

Made-up heads of 512 x 512 x 34 voxels (with `--thin`, 240), int16, compressed and not, each repeated several times,
with a mask of each. Nibabel reads only the volumes, as `dataobj` (stored values) and as `get_fdata` (float64).

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

import nibabel as nib
import numpy as np
import pydicom

from ichtune.data.phantom.write import write_phantoms

DIFFERENT = 6  # heads; more would only take longer to make


def make_volumes(root: Path, count: int, planes: int, suffix: str) -> list[Path]:
    """Make `count` volumes with masks in the layout of INSTANCE22."""
    heads = _heads(root / "phantom", planes)
    for folder in ("data", "label"):
        (root / suffix / folder).mkdir(parents=True)
    affine = np.diag([-0.45, -0.45, 5.0, 1.0])
    for number in range(count):
        name = f"{number:04d}.{suffix}"
        for folder, array in zip(("data", "label"), heads[number % DIFFERENT], strict=True):
            file = root / suffix / folder / name
            if number < DIFFERENT:
                nib.save(nib.Nifti1Image(array, affine), file)
            else:
                os.link(file.with_name(f"{number % DIFFERENT:04d}.{suffix}"), file)
    return sorted((root / suffix / "data").iterdir())


def _heads(folder: Path, planes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return made-up heads with a mask of what is bright in a third of the slices, [512, 512, planes]."""
    if not folder.exists():
        write_phantoms(folder, patients=DIFFERENT)
    by_patient: dict[str, list[np.ndarray]] = {}
    for path in sorted((folder / "stage_2_train").iterdir()):
        ds = pydicom.dcmread(path)
        by_patient.setdefault(ds.PatientID, []).append(ds.pixel_array.T + np.int16(ds.RescaleIntercept))
    heads = []
    for slices in by_patient.values():
        hu = np.stack([slices[k * len(slices) // planes] for k in range(planes)], axis=-1).astype(np.int16)
        bright = ((hu > 60) & (hu < 90)).astype(np.uint8)
        bright[..., planes // 3 :] = 0
        heads.append((hu, bright))
    return heads


def stored(path: Path) -> float:
    """Read the stored values with bare nibabel."""
    return float(np.array(nib.Nifti1Image.from_filename(path).dataobj)[0, 0, 0])  # else only mapped


def floats(path: Path) -> float:
    """Read float64 with bare nibabel."""
    return float(nib.Nifti1Image.from_filename(path).get_fdata()[0, 0, 0])


def read_all(way: Callable[[Path], float], files: list[Path], workers: int) -> None:
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(way, files))


def rate(count: int, work: Callable[[], object]) -> float:
    os.sync()  # flush what the previous way wrote, so that it doesn't slow this one down
    begun = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun)


def measure(files: list[Path], planes: int, workers: int, repeats: int, store: Path) -> dict[str, object]:
    """Return the rates of each way, in slices per second, and prepare's ratios to the best of the others."""
    command = [sys.executable, "-m", "ichtune.cli", "prepare", str(files[0].parents[1]), str(store)]
    command += ["--workers", str(workers)]
    ways: dict[str, Callable[[], object]] = {
        "dataobj": lambda: read_all(stored, files, workers),
        "get_fdata": lambda: read_all(floats, files, workers),
        "prepare": lambda: subprocess.run(command, check=True, capture_output=True),
    }
    read_all(stored, files[:DIFFERENT], workers)  # bring files and libraries into the page cache
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):  # in turn, so that a busy moment affects all ways alike
        for name, work in ways.items():
            rates[name].append(rate(len(files) * planes, work))
        shutil.rmtree(store)
    best = {name: max(values) for name, values in rates.items()}
    return {
        "slices_per_s": {name: [round(value) for value in values] for name, values in rates.items()},
        "prepare_to_dataobj": round(best["prepare"] / best["dataobj"], 2),
        "prepare_to_get_fdata": round(best["prepare"] / best["get_fdata"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=120)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--thin", action="store_true")
    args = parser.parse_args()
    planes = 240 if args.thin else 34
    result: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "volumes": args.volumes,
        "planes": planes,
        "workers": args.workers,
    }
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("nii", "nii.gz"):
            files = make_volumes(Path(folder), args.volumes, planes, suffix)
            result[suffix] = measure(files, planes, args.workers, args.repeats, Path(folder) / "store")
    result["largest_process_mib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
