"""Tiny real data: DICOM files and label tables written on the spot, a store of thirty slices."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from ichtune.data.options import PrepareOptions
from ichtune.data.prepare import prepare
from ichtune.data.store import SliceStore
from ichtune.labels import LABELS

# What is tested is too small for threads, which cost each step more than they save. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(os.environ.get("ICHTUNE_TEST_DATA", Path(__file__).parents[2] / "shared"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of the longest time limits first, so that none of them is left to the end of a run on several cores."""
    longest: dict[Path, float] = {}
    for item in items:
        for mark in item.iter_markers("timeout"):
            longest[item.path] = max(longest.get(item.path, 0), *mark.args)
    items.sort(key=lambda item: -longest.get(item.path, 0))


@pytest.fixture(scope="session")
def ct_ich() -> Path:
    """The real CT-ICH slices."""
    folder = SHARED / "data" / "ct-ich"
    if not folder.is_dir():
        pytest.skip(f"needs the CT-ICH slices at {folder} (ICHTUNE_TEST_DATA names another place)")
    return folder


@pytest.fixture(scope="session")
def rsna_maker() -> Path:
    """The script that writes CT-ICH slices as an RSNA-like DICOM set with planted quirks."""
    script = SHARED / "tools" / "make_rsna_dicom.py"
    if not script.is_file():
        pytest.skip(f"needs the script at {script} (ICHTUNE_TEST_DATA names another place)")
    return script


def write_dicom(path: Path, stored: np.ndarray, **tags: object) -> Path:
    """A CT slice of these stored values as a DICOM file; `tags` change or (None) leave out what it says."""
    ds = Dataset()
    settings = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "SOPInstanceUID": generate_uid(entropy_srcs=[str(path)]),
        "Modality": "CT",
        "PatientID": "P1",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "ImagePositionPatient": [-125, -125, 12.5],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": stored.shape[-2],
        "Columns": stored.shape[-1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "PixelData": stored.tobytes(),
        **tags,
    }
    for tag, value in settings.items():
        if value is not None:
            setattr(ds, tag, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = settings["SOPClassUID"]
    ds.file_meta.MediaStorageSOPInstanceUID = settings["SOPInstanceUID"]
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path


def long_table(labels: dict[str, tuple[int, ...]]) -> pd.DataFrame:
    """RSNA's long label table (`ID,Label`) of slices by their ids."""
    rows = [
        (f"{slice_id}_{kind}", value)
        for slice_id, six in labels.items()
        for kind, value in zip(LABELS, six, strict=True)
    ]
    return pd.DataFrame(rows, columns=["ID", "Label"])


def head(shape: tuple[int, int], seed: int) -> np.ndarray:
    """A noisy disc of 30 HU in air, int16."""
    rng = np.random.default_rng([7, seed])
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = (y - shape[0] / 2) ** 2 + (x - shape[1] / 2) ** 2 < (min(shape) * 0.4) ** 2
    return np.where(inside, 30 + rng.normal(0, 5, shape), -1000).astype(np.int16)


def write_rsna(root: Path, patients: int = 10, slices: int = 3, size: int = 16) -> Path:
    """An RSNA-like folder of `patients` heads with `slices` slices each, every other patient with a hemorrhage."""
    (root / "stage_2_train").mkdir(parents=True)
    labels = {}
    for patient in range(patients):
        for number in range(slices):
            slice_id = f"ID_{patient:04d}{number:05d}"
            stored = head((size, size), patient * 100 + number)
            if patient % 2:
                stored[size // 2 :, size // 2 :] += 35
            write_dicom(
                root / "stage_2_train" / f"{slice_id}.dcm",
                stored,
                PatientID=f"ID_{patient:08d}",
                StudyInstanceUID=f"ID_study{patient}",
                ImagePositionPatient=[0, 0, 5 * number],
            )
            kind = (patient // 2) % 5
            labels[slice_id] = tuple(int(patient % 2 and k in (kind, 5)) for k in range(6))
    long_table(labels).to_csv(root / "stage_2_train.csv", index=False)
    return root


@pytest.fixture
def rsna_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes an RSNA-like folder; takes what `write_rsna` takes."""
    return lambda **settings: write_rsna(tmp_path / "rsna", **settings)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> SliceStore:
    """Thirty slices of ten patients, 32 x 32; nobody writes into it."""
    folder = tmp_path_factory.mktemp("prepared")
    options = PrepareOptions(size=32, folds=3, workers=1)
    return prepare(write_rsna(folder / "rsna", size=32), folder / "store", options).store


@pytest.fixture
def small_store(prepared: SliceStore, tmp_path: Path) -> SliceStore:
    """A copy of the prepared store for one test alone."""
    return SliceStore.open(shutil.copytree(prepared.path, tmp_path / "small_store"))
