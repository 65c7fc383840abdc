"""Time and memory of reading RSNA's long label table, and of matching names to files.

    python benchmarks/tables.py [--slices 750000] [--names 200000]

Prints JSON: CPU seconds and peak memory of reading the table into a row per slice with every check, the same for pandas
alone (`read_csv`, split and `pivot`, without checks), their ratio, and CPU seconds of matching by each step. Table and
names are made up. Each reading has its own process, whose memory includes the imports.
"""

import argparse
import json
import resource
import tempfile
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.long_tables import read_long
from ichtune.data.matching import match
from ichtune.data.name_fits import Step
from ichtune.labels import LABELS

NAMES: dict[Step, tuple[Callable[[int], str], Callable[[int], str]]] = {
    Step.EXACT: (lambda k: f"p{k // 40}/{k}.dcm", lambda k: f"p{k // 40}/{k}.dcm"),
    Step.SUFFIX: (lambda k: f"ID_{k:09x}", lambda k: f"ID_{k:09x}.dcm"),
    Step.FOLDER: (lambda k: f"ID_{k:09x}.dcm", lambda k: f"scans/p{k // 40}/ID_{k:09x}.dcm"),
    Step.PREFIX: (lambda k: f"/data/set/p{k // 40}/{k % 40}.png", lambda k: f"p{k // 40}/{k % 40}.png"),
    Step.CASE: (lambda k: f"ID_{k:09X}", lambda k: f"id_{k:09x}.dcm"),
    Step.UNICODE: (
        lambda k: unicodedata.normalize("NFD", f"Schädel {k}"),
        lambda k: unicodedata.normalize("NFC", f"Schädel {k}.png"),
    ),
    Step.BLANKS: (lambda k: f"ID_{k:09x}", lambda k: f"ID_{k:09x}\n.dcm"),
    Step.NUMBER: (lambda k: f"{k // 40 + 1}/{k % 40}", lambda k: f"{k // 40 + 1:06d}/{k % 40:03d}.png"),
    Step.UID: (lambda k: f"1.2.840.{k}", lambda k: f"CT{k:09x}.dcm"),
}
"""How the table and the folder write the k-th name where a step is needed."""


def write_long(path: Path, slices: int) -> None:
    """Write a long table in which 4% of slices have each subtype."""
    rng = np.random.default_rng(0)
    with open(path, "w") as file:
        file.write("ID,Label\n")
        for k in range(slices):
            six = (rng.random(len(LABELS) - 1) < 0.04).astype(int).tolist()
            six.append(max(six))
            name = f"ID_{k * 2654435761 % 16**9:09x}"
            file.writelines(f"{name}_{label},{value}\n" for label, value in zip(LABELS, six, strict=True))


def ours(path: Path) -> pd.DataFrame:
    return read_long(path)[0]


def bare_pandas(path: Path) -> pd.DataFrame:
    """Return the same table as users would make it."""
    table = pd.read_csv(path)
    table[["slice", "kind"]] = table["ID"].str.rsplit("_", n=1, expand=True)
    return table.pivot(index="slice", columns="kind", values="Label")


def measured(read: Callable[[Path], pd.DataFrame], path: Path) -> dict[str, float]:
    """Return CPU seconds and peak memory of reading in this process."""
    begun = time.process_time()
    rows = len(read(path))
    return {
        "slices": rows,
        "cpu_s": round(time.process_time() - begun, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def reading(slices: int) -> dict[str, object]:
    result: dict[str, object] = {}
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.csv"
        write_long(path, slices)
        for read in (ours, bare_pandas):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                figures = process.submit(measured, read, path).result()
            result[read.__name__] = figures
            seconds.append(figures["cpu_s"])
    return {**result, "ratio": round(seconds[0] / seconds[1], 2)}


def matching(step: Step, count: int) -> float:
    """Return CPU seconds of matching `count` names to as many files where all need the step."""
    of_table, of_folder = NAMES[step]
    names = [of_table(k) for k in range(count)]
    files = sorted(of_folder(k) for k in range(count))
    uids = {of_folder(k): of_table(k) for k in range(count)}
    begun = time.process_time()
    found = match(names, files, same_bytes=lambda _: False, uids=lambda asked: {f: uids[f] for f in asked})
    seconds = time.process_time() - begun
    if len(found.files) != count or set(found.steps.values()) != {step}:
        raise RuntimeError(f"{len(found.files):,} of {count:,} names were matched, {step}")
    return round(seconds, 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slices", type=int, default=750_000)
    parser.add_argument("--names", type=int, default=200_000)
    arguments = parser.parse_args()
    result = {
        "long_table": reading(arguments.slices),
        "matching_cpu_s": {step.name.lower(): matching(step, arguments.names) for step in NAMES},
    }
    print(json.dumps({**vars(arguments), **result}, indent=2))


if __name__ == "__main__":
    main()
