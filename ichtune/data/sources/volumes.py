"""The volumes of a source: their headers, and the place of every slice in them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ichtune.data.formats.nifti import refuse_no_ct, without_volume_suffix
from ichtune.data.formats.nifti_header import VolumeHeader, read_header
from ichtune.data.formats.slice import Rejected
from ichtune.data.reading import Place


@dataclass(frozen=True)
class Volumes:
    """The headers of a source's CT volumes by file, and why other files have none."""

    headers: dict[str, VolumeHeader]
    rejected: dict[str, str]

    @classmethod
    def read(cls, root: Path, files: Iterable[str]) -> "Volumes":
        """Read the headers of files below `root`."""
        headers, rejected = {}, {}
        for file in sorted(files):
            try:
                header = read_header(root / file)
                refuse_no_ct(header)
                headers[file] = header
            except Rejected as why:
                rejected[file] = str(why)
            except OSError as error:
                rejected[file] = f"can't be read: {error.strerror or error}"
        names = Counter(map(without_volume_suffix, headers))
        for file in [file for file in headers if names[without_volume_suffix(file)] > 1]:
            del headers[file]
            rejected[file] = "two files with this name, .nii and .nii.gz"
        return cls(headers, rejected)

    def without(self, reasons: dict[str, str]) -> "Volumes":
        """Return the volumes without these, by file, which are rejected for these reasons."""
        kept = {file: header for file, header in self.headers.items() if file not in reasons}
        return Volumes(kept, {**reasons, **self.rejected})

    def places(self, file: str) -> list[Place]:
        """Return the places of a volume's slices, from the feet up."""
        return [Place(file, plane) for plane in range(self.headers[file].shape[0])]

    def reasons(self, file: str, reason: str) -> dict[str, str]:
        """Return a reason for each slice of a volume, or for the file if its number of slices is unknown."""
        names = [place.name for place in self.places(file)] if file in self.headers else [file]
        return dict.fromkeys(names, reason)


def ids_of(place: Place) -> dict[str, str]:
    """Return what identifies a slice and its scan, from the volume's path."""
    scan = without_volume_suffix(place.file)
    return {"slice_id": f"{scan}_{place.plane + 1:03d}", "study_id": scan, "series_id": scan}
