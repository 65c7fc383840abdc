"""What matching needs to know about file contents: their SOPInstanceUIDs, and whether they are copies."""

import filecmp
from pathlib import Path
from typing import Final

from ichtune.data.formats.dicom import sop_instance_uid
from ichtune.data.formats.image import is_image

PROBED: Final = 1000  # files sampled to see whether a folder's DICOM files have the table's names at all


def same_bytes(root: Path, files: list[str]) -> bool:
    """Whether all these files have the same content."""
    try:
        return all(filecmp.cmp(root / files[0], root / file, shallow=False) for file in files[1:])
    except OSError:
        return False


def uids(root: Path, files: list[str], names: set[str]) -> dict[str, str]:
    """Return the SOPInstanceUIDs of DICOM files by file; stops early if a sample has none of `names`."""
    files = [file for file in files if not is_image(file)]
    probed = {file: sop_instance_uid(root / file) for file in files[:: len(files) // PROBED + 1]}
    if names.isdisjoint(probed.values()):
        return {}
    return probed | {file: sop_instance_uid(root / file) for file in files if file not in probed}
