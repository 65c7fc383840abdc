"""The made-up heads that a search runs on if no data is given."""

import shutil
from pathlib import Path

from platformdirs import user_cache_path
from rich.console import Console
from rich.markup import escape

from ichtune.data.options import PrepareOptions
from ichtune.data.phantom.write import write_phantoms
from ichtune.data.prepare import prepare
from ichtune.locks import locked
from ichtune.progress import progress

PATIENTS = 40


def demo_store(console: Console) -> Path:
    """Return the store of made-up heads in the user's cache folder, created on first use."""
    folder = user_cache_path("ichtune") / "phantom-2"
    if (folder / "store" / "store.json").is_file():
        return folder / "store"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        return _made(folder, console)


def _made(folder: Path, console: Console) -> Path:
    if (folder / "store" / "store.json").is_file():  # another process has created it in the meantime
        return folder / "store"
    console.print(
        f"No --data given: making up {PATIENTS} heads with hemorrhages in {escape(str(folder))} (once)",
        soft_wrap=True,
    )
    source = folder / "dicom"
    if not (source / "stage_2_train.csv").is_file():
        _clear(source)
        with progress("drawing", "patients", console) as report:
            write_phantoms(source, patients=PATIENTS, progress=lambda done: report(done, PATIENTS, ""))
    with progress("reading", "slices", console) as report:
        prepare(source, folder / "store", PrepareOptions(), lambda done, total, bad: report(done, total, ""))
    _clear(source)
    return folder / "store"


def _clear(folder: Path) -> None:
    """Delete half a gigabyte of DICOM files that aren't needed once they are in the store."""
    shutil.rmtree(folder, ignore_errors=True)
