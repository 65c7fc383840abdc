"""Whether a DICOM file's header is that of one grey axial CT slice."""

from pydicom.dataset import Dataset

from ichtune.data.formats.elements import count, text
from ichtune.data.formats.slice import Rejected

CT_STORAGE = {
    "1.2.840.10008.5.1.4.1.1.2": "CT image",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT image",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted enhanced CT image",
}


def refuse_what_is_no_ct_slice(ds: Dataset) -> None:
    modality, storage = text(ds, "Modality"), text(ds, "SOPClassUID")
    if modality != "CT" and not (modality == "" and storage in CT_STORAGE):
        raise Rejected(f"not a CT image: Modality is {modality or 'missing'}")
    if "PixelData" not in ds:
        raise Rejected("no pixel data: the file is cut short or holds no image")
    if "LOCALIZER" in text(ds, "ImageType").upper().split("\\"):
        raise Rejected("a localizer (scout view), not an axial slice")
    colour = text(ds, "PhotometricInterpretation")
    if (count(ds, "SamplesPerPixel") or 1) != 1 or colour not in ("MONOCHROME1", "MONOCHROME2"):
        raise Rejected(f"a colour image: PhotometricInterpretation is {colour or 'missing'}")
    if (frames := int(text(ds, "NumberOfFrames") or 1)) > 1:
        raise Rejected(f"a multi-frame image ({frames} frames), not one slice a file")
    if not text(ds, "RescaleSlope") or not text(ds, "RescaleIntercept"):
        raise Rejected("no RescaleSlope and RescaleIntercept: its values can't be told in Hounsfield units")
