"""Made-up head CTs in the layout of the RSNA 2019 challenge, to try everything without patient data."""

import csv
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from ichtune.data.phantom.anatomy.blood import BLEEDS
from ichtune.data.phantom.anatomy.head import Head
from ichtune.data.phantom.anatomy.scanner import Scanner
from ichtune.data.phantom.anatomy.shapes import Plane
from ichtune.data.phantom.anatomy.skull import VAULT_TOP_Z
from ichtune.data.phantom.anatomy.traits import draw_traits
from ichtune.errors import InputError
from ichtune.labels import ANY, LABELS, SUBTYPES

BLEEDING_SHARE: Final = 0.5  # of patients
ATROPHIC_SHARE: Final = 0.3
SLICE_MM: Final = 5.0
VISIBLE_MM2: Final = 15.0  # blood of at least this area (about 60 pixels) makes a slice positive

# The second bleed of a patient with two. Each kind appears once on either side, to keep the kinds balanced.
COMPANION: Final = {
    "epidural": "subdural",
    "subdural": "subarachnoid",
    "subarachnoid": "intraventricular",
    "intraventricular": "intraparenchymal",
    "intraparenchymal": "epidural",
}

SliceRows = list[tuple[str, tuple[str, ...]]]  # a slice's identifier and the kinds of blood in it


@dataclass(frozen=True)
class PatientPlan:
    """A made-up patient's bleeds and seed, which determine the images bit for bit."""

    seed: int
    number: int
    kinds: tuple[str, ...]
    atrophic: bool

    def rng(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.number, *what])

    def made_up_id(self, *what: object, digits: int) -> str:
        """Return an identifier in RSNA's form: `ID_` and hexadecimal digits."""
        text = "/".join(map(str, ("phantom", self.seed, self.number, *what)))
        return "ID_" + hashlib.sha256(text.encode()).hexdigest()[:digits]


@dataclass(frozen=True)
class Picture:
    """One slice: HU `[S, S]`, its height, and the share of blood `[S, S]` of each of the patient's kinds."""

    hu: npt.NDArray[np.int16]
    blood: dict[str, Plane]
    z_mm: float
    spacing_mm: float

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of blood that are visible in this slice."""
        least = VISIBLE_MM2 / self.spacing_mm**2
        return tuple(kind for kind, share in self.blood.items() if np.count_nonzero(share > 0.5) >= least)


@dataclass(frozen=True)
class PhantomSummary:
    """The number of patients and slices written, and of positive slices for each label."""

    patients: int
    slices: int
    positives: dict[str, int]


def plan_patients(patients: int, seed: int) -> list[PatientPlan]:
    """Plan all patients: half of them bleed, each kind about equally often, a third of those from two places."""
    rng = np.random.default_rng([seed, patients])
    bleeds: list[tuple[str, ...]] = []
    for i in range(round(patients * BLEEDING_SHARE)):
        turn, kind = divmod(i, len(SUBTYPES))
        first = SUBTYPES[kind]
        bleeds.append(tuple(sorted((first, COMPANION[first]))) if turn % 2 else (first,))
    bleeds += [()] * (patients - len(bleeds))
    order = rng.permutation(patients)
    atrophic = rng.permutation(patients) < round(patients * ATROPHIC_SHARE)
    return [PatientPlan(seed, n, bleeds[order[n]], bool(atrophic[n])) for n in range(patients)]


def draw_patient(plan: PatientPlan, size: int = 512) -> Iterator[Picture]:
    """Yield a patient's slices from the base of the skull to its top, `size` x `size` pixels each."""
    rng = plan.rng(0)
    traits = draw_traits(rng, atrophic=plan.atrophic, hydrocephalic="intraventricular" in plan.kinds)
    bleeds = [BLEEDS[kind](plan.rng(1, i)) for i, kind in enumerate(SUBTYPES) if kind in plan.kinds]
    head = Head(traits, bleeds, rng)
    rng = plan.rng(2)
    scanner = Scanner.draw(rng, traits.scale, size)
    bottom = rng.uniform(-58, -48)
    top = VAULT_TOP_Z * traits.scale[2] + rng.uniform(0, 11)
    slices = int(np.clip(np.ceil((top - bottom) / SLICE_MM), 24, 34))
    for i in range(slices):
        z = bottom + i * SLICE_MM
        hu, blood = head.at(scanner.points(z))
        blood = {
            kind: np.asarray(cv2.resize(share, (size, size)), np.float32) for kind, share in blood.items()
        }
        yield Picture(scanner.picture(hu, plan.rng(3, i)), blood, z + scanner.table_mm, scanner.spacing_mm)


def write_phantoms(
    out: Path,
    *,
    patients: int = 40,
    seed: int = 0,
    workers: int | None = None,
    size: int = 512,
    progress: Callable[[int], None] | None = None,
) -> PhantomSummary:
    """Write made-up patients as `out`/stage_2_train/ID_*.dcm and `out`/stage_2_train.csv.

    The same `seed`, `patients` and `size` produce the same bytes, whatever the number of `workers` (processes; None:
    one per core). `progress` is called with the number of finished patients. The labels are written last: the folder of
    a killed run has none. Raises InputError if `out` isn't empty, and ValueError for no patients, a negative seed or a
    `size` below 32 pixels.
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
    slices: SliceRows = []
    for done, rows in enumerate(_written(plans, folder, size, workers), start=1):
        slices += rows
        if progress:
            progress(done)
    _write_labels(out / "stage_2_train.csv", slices)
    positives = {label: sum(_is_positive(label, kinds) for _, kinds in slices) for label in LABELS}
    return PhantomSummary(patients, len(slices), positives)


def _written(plans: list[PatientPlan], folder: Path, size: int, workers: int | None) -> Iterator[SliceRows]:
    write = partial(_write_patient, folder=folder, size=size)
    workers = min(workers or os.cpu_count() or 1, len(plans))
    if workers == 1:
        yield from map(write, plans)
        return
    # One OpenCV thread per process: the processes already use all cores.
    with ProcessPoolExecutor(workers, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
        yield from pool.map(write, plans)


def _write_patient(plan: PatientPlan, *, folder: Path, size: int) -> SliceRows:
    rows: SliceRows = []
    # RSNA's identifiers aren't valid UIDs.
    with disable_value_validation():
        for i, picture in enumerate(draw_patient(plan, size)):
            sop = plan.made_up_id("slice", i, digits=9)
            _dicom(plan, sop, picture).save_as(folder / f"{sop}.dcm", enforce_file_format=True)
            rows.append((sop, picture.kinds))
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
