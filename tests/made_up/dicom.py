"""CT slices as DICOM files and their label tables, written on the spot."""

from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from ichtune.labels import LABELS


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
