"""A small CQ500 with BHX's boxes, written on the spot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from tests.made_up.dicom import head, write_dicom

READ = ("ICH", "IPH", "IVH", "SDH", "EDH", "SAH")
THIN = {"SliceThickness": 0.625, "ConvolutionKernel": "STANDARD"}
THICK = {"SliceThickness": 5, "ConvolutionKernel": "SOFT"}
CORONAL = [1, 0, 0, 0, 0, -1]


def write_reads(root: Path, reads: Mapping[int | str, Sequence[str]]) -> None:
    """`reads.csv`: for each scan what three readers say to READ, such as `110000`; a blank is a missing read."""
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for scan, three in reads.items():
        row = {"name": f"CQ500-CT-{scan}" if isinstance(scan, int) else scan, "Category": "B1"}
        for number, six in enumerate(three, 1):
            row |= {f"R{number}:{kind}": seen.strip() for kind, seen in zip(READ, six, strict=True)}
            row |= {f"R{number}:BleedLocation-Left": "0", f"R{number}:ChronicBleed": "1"}
        rows.append(row)
    pd.DataFrame(rows).to_csv(root / "reads.csv", index=False)


def write_scan(
    root: Path,
    number: int,
    series: Mapping[str, Mapping[str, object]],
    *,
    slices: int = 3,
    below: str = "",
    suffix: str = ".dcm",
) -> None:
    """A scan's folder with its series by description, each of so many slices and with these tags.

    Series are numbered by their description: SeriesInstanceUID 1.NUMBER.K, and SOPInstanceUID 1.NUMBER.K.SLICE.
    """
    folder = root / (below or f"CQ500CT{number} CQ500CT{number}/Unknown Study")
    for k, (description, tags) in enumerate(sorted(series.items()), 1):
        (folder / description).mkdir(parents=True, exist_ok=True)
        for z in range(slices):
            about = {
                "SeriesDescription": description,
                "SeriesInstanceUID": f"1.{number}.{k}",
                "SOPInstanceUID": f"1.{number}.{k}.{z}",
                "StudyInstanceUID": f"1.{number}",
                "PatientID": f"CQ500CT{number}",
                "ImagePositionPatient": [0, 0, z * float(str(tags.get("SliceThickness", 5)))],
            }
            pixels = head((8, 8), number * 100 + z)
            write_dicom(folder / description / f"CT{z:06d}{suffix}", pixels, **{**about, **tags})


def write_boxes(path: Path, boxes: Sequence[tuple[str, str, str]]) -> Path:
    """One of BHX's CSVs, of boxes by SOPInstanceUID, SeriesInstanceUID and label."""
    rows = [
        {
            "SOPInstanceUID": sop,
            "SeriesInstanceUID": series,
            "StudyInstanceUID": "1.2",
            "data": "{'x': 1, 'y': 2, 'width': 3, 'height': 4}",
            "labelName": label,
            "labelType": "manual",
        }
        for sop, series, label in boxes
    ]
    pd.DataFrame(rows).to_csv(path)
    return path
