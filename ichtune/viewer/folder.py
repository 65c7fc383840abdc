"""A folder of DICOM files, to be the study that is open when the page appears."""

from pathlib import Path

from ichtune.data.formats.size import read_bounded
from ichtune.data.formats.slice import Rejected
from ichtune.data.sources.folder import files_below
from ichtune.errors import InputError
from ichtune.progress import Report
from ichtune.viewer.study import Intake
from ichtune.wording import plural


def read_folder(folder: Path, most: int, report: Report) -> Intake:
    """Read the slices in a folder and those below it, which may take up to `most` bytes.

    Raises:
        InputError: there is no such folder, it has no slices to show, or more than allowed (TooLarge).
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; name the one with a study's DICOM files")
    intake, names = Intake(most), sorted(files_below(folder))
    for done, name in enumerate(names, 1):
        try:
            intake.add(name, read_bounded(folder / name))
        except Rejected as why:
            intake.rejected[name] = str(why)
        except OSError as error:
            intake.rejected[name] = f"can't be read: {error.strerror or error}"
        report(done, len(names), "")
    if not intake.arrived:
        first = next((f" (the first: {name}: {why})" for name, why in intake.rejected.items()), "")
        raise InputError(f"{folder}: no CT slice in {plural(len(names), 'file', 'files')}{first}")
    return intake
