"""Checks that a DICOM header describes a single grey axial CT slice in Hounsfield units."""

import math

from pydicom.dataset import Dataset

from ichtune.data.formats.elements import count, finite, text
from ichtune.data.formats.size import refuse_size
from ichtune.data.formats.slice import Rejected

CT_STORAGE = {
    "1.2.840.10008.5.1.4.1.1.2": "CT image",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT image",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted enhanced CT image",
}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

# Values of ImageType whose pixels aren't the attenuation of one slice, from PS3.3 and vendors' conformance
# statements. AVERAGE and MEAN aren't among them: the mean of neighbouring slices is a thicker slice in HU.
SCOUTS = {"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW"}
SCREENS = {"DOSE_INFO", "DOSE INFO", "DOSE REPORT", "SCREEN SAVE", "SCREENSAVE", "SCREEN SHOT", "SCREENSHOT",
           "SCREEN CAPTURE", "PATIENT PROTOCOL", "PATIENT_PROTOCOL", "PROTOCOL", "REPORT", "CSA REPORT"}  # fmt: skip
PROJECTIONS = {"PROJECTION IMAGE", "MIP", "MINIP", "MAX_IP", "MIN_IP", "CSA MIP", "VRT", "SSD",
               "VOLUME RENDERING", "VOLUME_RENDER", "VOLREN"}  # fmt: skip
REFORMATTED = {"REFORMATTED", "MPR", "CSA MPR", "CORONAL", "SAGITTAL"}

AXIAL_WITHIN = math.cos(math.radians(45))  # a gantry tilts by up to 30 degrees


def refuse_what_is_no_ct_slice(ds: Dataset) -> None:
    """Raise `Rejected` with the reason unless the header describes a single grey axial CT slice in HU."""
    modality, storage = text(ds, "Modality"), text(ds, "SOPClassUID")
    if modality != "CT" and not (modality == "" and storage in CT_STORAGE):
        raise Rejected(f"not a CT image: Modality is {modality or 'missing'}")
    if storage == SECONDARY_CAPTURE or storage.startswith(SECONDARY_CAPTURE + "."):
        raise Rejected("a secondary capture (an image of a screen or a scanned film), not a CT slice")
    if "PixelData" not in ds:
        raise Rejected("no pixel data: the file is truncated or has no image")
    _refuse_image_type(ds)
    _refuse_orientation(ds)
    _refuse_pixel_format(ds)
    _refuse_units(ds)


def _refuse_image_type(ds: Dataset) -> None:
    """Check the image type (0008,0008), PS3.3 C.7.6.1.1.2 and, for CT, C.8.2.1.1.1.

    DERIVED or SECONDARY alone means nothing: anonymised and resampled slices rightly have it. Nor does AXIAL, which
    in CT "includes transverse, coronal, sagittal and oblique images". So only values whose pixels aren't the
    attenuation of a slice are refused; a reformatted image is judged by its orientation, and refused if it has none.
    """
    kinds = {kind.strip() for kind in text(ds, "ImageType").upper().split("\\")}
    if kinds & SCOUTS:
        raise Rejected("a localizer (scout view), not an axial slice")
    if found := kinds & SCREENS:
        raise Rejected(f"a derived screen image, not a CT slice: ImageType has {min(found)}")
    if found := kinds & PROJECTIONS:
        raise Rejected(f"a projection through several slices, not one: ImageType has {min(found)}")
    if (found := kinds & REFORMATTED) and not text(ds, "ImageOrientationPatient"):
        raise Rejected(f"a reformatted image of unknown orientation: ImageType has {min(found)}")


def orientation(ds: Dataset) -> list[float]:
    """Return the cosines of the directions in which rows and columns run (PS3.3 C.7.6.2.1.1); empty without any.

    Raises:
        Rejected: they aren't six finite numbers.
    """
    written = text(ds, "ImageOrientationPatient")
    if not written:
        return []
    numbers = [finite(part) for part in written.split("\\")]
    cosines = [number for number in numbers if number is not None]
    if len(numbers) != 6 or len(cosines) != 6:
        raise Rejected(f"ImageOrientationPatient is {written[:60]!r}, not six finite numbers")
    return cosines


def _refuse_orientation(ds: Dataset) -> None:
    """Refuse a slice whose normal is more than 45 degrees off the body's long axis.

    A file without an orientation passes.
    """
    if not (cosines := orientation(ds)):
        return
    written = text(ds, "ImageOrientationPatient")
    a, b, c, d, e, f = cosines
    normal = {"sagittal": abs(b * f - c * e), "coronal": abs(c * d - a * f), "axial": abs(a * e - b * d)}
    length = math.hypot(*normal.values())
    if not 0.5 < length < 2:  # 1 for perpendicular directions; files round them
        raise Rejected(f"ImageOrientationPatient is {written[:60]!r}, not two perpendicular directions")
    if normal["axial"] / length < AXIAL_WITHIN - 1e-3:
        plane = max(normal, key=lambda name: normal[name])
        plane = "oblique" if plane == "axial" else plane
        raise Rejected(f"a {plane} image, not an axial slice: ImageOrientationPatient is {written[:60]}")


def _refuse_pixel_format(ds: Dataset) -> None:
    """Check the image pixel module, PS3.3 C.7.6.3."""
    colour = text(ds, "PhotometricInterpretation")
    if count(ds, "SamplesPerPixel", missing=1) != 1 or colour not in ("MONOCHROME1", "MONOCHROME2"):
        raise Rejected(f"a colour image: PhotometricInterpretation is {colour or 'missing'}")
    frames = text(ds, "NumberOfFrames") or "1"
    if not (frames.isascii() and frames.isdecimal()):
        raise Rejected(f"NumberOfFrames is {frames[:20]!r}, not a whole number")
    if frames.lstrip("0") not in ("", "1"):
        raise Rejected(
            f"a multi-frame image ({frames[:20]} frames), not a single slice; convert it to NIfTI (dcm2niix), or to a "
            "file per frame"
        )
    refuse_size(count(ds, "Rows"), count(ds, "Columns"))
    allocated, stored = count(ds, "BitsAllocated"), count(ds, "BitsStored")
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated:
        raise Rejected(
            f"BitsAllocated {allocated} with BitsStored {stored} is not a pixel format of CT slices"
        )
    if (high := count(ds, "HighBit", missing=stored - 1)) != stored - 1:
        # PS3.5 8.1.1 requires BitsStored - 1; pydicom ignores this element.
        raise Rejected(f"HighBit is {high}, but BitsStored {stored} requires {stored - 1}")
    if (sign := count(ds, "PixelRepresentation")) not in (0, 1):
        raise Rejected(f"PixelRepresentation is {sign}, neither 0 (unsigned) nor 1 (signed)")


def _refuse_units(ds: Dataset) -> None:
    """Require slope and intercept in HU; in CT, a missing RescaleType means HU (PS3.3 C.8.2.1, type 1C)."""
    if not text(ds, "RescaleSlope") or not text(ds, "RescaleIntercept"):
        raise Rejected(
            "no RescaleSlope and RescaleIntercept: its values can't be converted to Hounsfield units"
        )
    if text(ds, "RescaleType").upper() not in ("", "HU"):
        raise Rejected(f"RescaleType is {text(ds, 'RescaleType')[:20]}: its values are not Hounsfield units")
    if "ModalityLUTSequence" in ds:
        raise Rejected("a modality lookup table: its values can't be converted to Hounsfield units")
