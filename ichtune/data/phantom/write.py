"""Made-up head CTs in the layout of the RSNA 2019 challenge, to try everything without patient data."""

import csv
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from ichtune.data.blood_masks import write_blood_mask
from ichtune.data.phantom.draw import PatientPlan, Picture, draw_patient, plan_patients
from ichtune.data.phantom.vessels import draw_with_spots
from ichtune.errors import InputError
from ichtune.labels import ANY, LABELS

Draw = Callable[[PatientPlan, int], Iterator[Picture]]
SliceRows = list[tuple[str, tuple[str, ...]]]  # a slice's identifier and the kinds of blood in it


@dataclass(frozen=True)
class PhantomSummary:
    """The number of patients and slices written, and of positive slices for each label."""

    patients: int
    slices: int
    positives: dict[str, int]


def write_phantoms(
    out: Path,
    *,
    patients: int = 40,
    seed: int = 0,
    workers: int | None = None,
    size: int = 512,
    vessels: bool = False,
    masks: bool = False,
    progress: Callable[[int], None] | None = None,
) -> PhantomSummary:
    """Write made-up patients as `out`/stage_2_train/ID_*.dcm and `out`/stage_2_train.csv.

    The same `seed`, `patients` and `size` produce the same bytes, whatever the number of `workers` (processes; None:
    one per core). With `vessels`, only neighbouring slices tell blood from a vessel, as the module `vessels` explains.
    With `masks`, `out`/masks/ID_*.png show where the blood is, as the module `ichtune.data.blood_masks` explains.
    `progress` is called with the number of finished patients. The labels are written last: the folder of a killed run
    has none. Raises InputError if `out` isn't empty, and ValueError for no patients, a negative seed or a `size` below
    32 pixels.
    """
    if patients < 1:
        raise ValueError(f"patients must be at least 1, got {patients}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    if size < 32:
        raise ValueError(f"size must be at least 32 pixels, got {size}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out}: made-up patients need a new or empty folder; remove this one or choose another"
        )
    plans = plan_patients(patients, seed)
    folder = out / "stage_2_train"
    folder.mkdir(parents=True)
    draw = draw_with_spots if vessels else draw_patient
    if masks:
        (out / "masks").mkdir()
    write = partial(
        _write_patient, folder=folder, size=size, draw=draw, masks=out / "masks" if masks else None
    )
    slices: SliceRows = []
    for done, rows in enumerate(_written(plans, write, workers), start=1):
        slices += rows
        if progress:
            progress(done)
    _write_labels(out / "stage_2_train.csv", slices)
    positives = {label: sum(_is_positive(label, kinds) for _, kinds in slices) for label in LABELS}
    return PhantomSummary(patients, len(slices), positives)


def _written(
    plans: list[PatientPlan], write: Callable[[PatientPlan], SliceRows], workers: int | None
) -> Iterator[SliceRows]:
    workers = min(workers or os.cpu_count() or 1, len(plans))
    if workers == 1:
        yield from map(write, plans)
        return
    # One OpenCV thread per process: the processes already use all cores.
    with ProcessPoolExecutor(workers, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
        yield from pool.map(write, plans)


def _write_patient(
    plan: PatientPlan, *, folder: Path, size: int, draw: Draw, masks: Path | None
) -> SliceRows:
    rows: SliceRows = []
    # RSNA's identifiers aren't valid UIDs.
    with disable_value_validation():
        for i, picture in enumerate(draw(plan, size)):
            sop = plan.made_up_id("slice", i, digits=9)
            _dicom(plan, sop, picture).save_as(folder / f"{sop}.dcm", enforce_file_format=True)
            rows.append((sop, picture.kinds))
            if masks:
                write_blood_mask(masks, sop, picture.blood)
    return rows


def _dicom(plan: PatientPlan, sop: str, picture: Picture) -> Dataset:
    """Return a slice with the tags that RSNA kept."""
    corner = round(-picture.spacing_mm * (len(picture.hu) - 1) / 2, 4)
    ds = Dataset()
    ds.SOPInstanceUID = sop
    ds.Modality = "CT"
    ds.PatientID = plan.made_up_id("patient", digits=8)
    ds.StudyInstanceUID = plan.made_up_id("study", digits=10)
    ds.SeriesInstanceUID = plan.made_up_id("series", digits=10)
    ds.StudyID = ""
    ds.ImagePositionPatient = [corner, corner, round(picture.z_mm, 4)]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = picture.hu.shape
    ds.PixelSpacing = [round(picture.spacing_mm, 6)] * 2
    ds.BitsAllocated = 16
    # As in the challenge, one scanner stores 16 signed bits and another 12 unsigned.
    signed = plan.number % 2 == 0
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = (16, 15, 1) if signed else (12, 11, 0)
    ds.WindowCenter, ds.WindowWidth = 40, 80
    ds.RescaleIntercept, ds.RescaleSlope = -1024, 1
    stored = picture.hu.astype(np.int32) + 1024
    ds.add_new("PixelData", "OW", stored.astype("<i2" if signed else "<u2").tobytes())
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = UID(sop)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _is_positive(label: str, kinds: tuple[str, ...]) -> bool:
    return bool(kinds) if label == ANY else label in kinds


def _write_labels(path: Path, slices: SliceRows) -> None:
    part = path.with_suffix(".csv.part")
    with part.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("ID", "Label"))
        table.writerows(
            (f"{sop}_{label}", int(_is_positive(label, kinds))) for sop, kinds in slices for label in LABELS
        )
    part.replace(path)
