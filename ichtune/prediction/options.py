"""Options of `ichtune predict`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ichtune.errors import InputError
from ichtune.options import option
from ichtune.windows import Window
from ichtune.wording import not_one_of

OUTPUTS: Final = (".csv", ".parquet")
AUGMENTATIONS: Final = ("flips", "shifts")


@dataclass(frozen=True)
class PredictOptions:
    """How to predict, apart from the models, the input and the file to write."""

    tta: str = option(
        "",
        "Test-time augmentation: the mean over the slices as they are and mirrored (flips), or shifted (shifts).",
        metavar="flips,shifts",
    )
    series: str = option(
        "auto",
        "Which series of a study: one (auto, or the thinnest or thickest), all, or one whose description has REGEX "
        "(DICOM only).",
        metavar="auto|all|thin|thick|REGEX",
    )
    window: str = option("40/80", "Window that 8-bit images were made with.", metavar="C/W")
    submission: Path | None = option(
        None,
        "Sample submission of the RSNA 2019 challenge: also write the predictions of its IDs in its form.",
    )
    dicom_sr: Path | None = option(
        None, "Folder for a DICOM structured report of each scan (DICOM only).", metavar="DIR"
    )
    workers: int | None = option(None, "Number of reading processes (default: one per core).", min=1)
    overwrite: bool = option(False, "Replace finished predictions.")

    def __post_init__(self) -> None:
        """Refuse what can't be used before anything is opened.

        Raises:
            InputError: an augmentation is unknown, or the window can't be read.
        """
        Window.parse(self.window)
        for name in self.augmentations:
            if name not in AUGMENTATIONS:
                raise InputError(f"--tta {not_one_of(name, AUGMENTATIONS)}")

    @property
    def augmentations(self) -> tuple[str, ...]:
        """The names in `tta`, each once."""
        return tuple(dict.fromkeys(name.strip() for name in self.tta.split(",") if name.strip()))

    @property
    def meaning(self) -> dict[str, str]:
        """The options that change predictions; a resumed run must have the same."""
        return {"tta": ",".join(sorted(self.augmentations)), "series": self.series, "window": self.window}


def check_output(file: Path) -> None:
    """Refuse a file that isn't a table by its name.

    Raises:
        InputError: its suffix is neither `.csv` nor `.parquet`.
    """
    if file.suffix.lower() not in OUTPUTS:
        raise InputError(f"--out {file}: must end in .csv or .parquet, which says the format of the table")
