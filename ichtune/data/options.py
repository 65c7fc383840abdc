"""Options of `ichtune prepare`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ichtune.data.mask_classes import checked_mask_classes
from ichtune.errors import InputError
from ichtune.options import option, options_of
from ichtune.windows import Window
from ichtune.wording import plain

MOST_FOLDS: Final = 20
BY_SOURCE: Final = "by-source"
READING: Final[tuple[str, ...]] = ("readers", "series", "patient", "mask_classes")
"""Options that change how a source's files and labels are read; a store keeps those that aren't at their default."""


def parse_folds(written: str | int) -> int | str:
    """Return a number of folds, or BY_SOURCE.

    Raises:
        InputError: it is neither.
    """
    text = str(written).strip().lower()
    if text == BY_SOURCE:
        return text
    if not text.isdecimal() or not 2 <= int(text) <= MOST_FOLDS:
        raise InputError(
            f"--folds must be a whole number from 2 to {MOST_FOLDS}, or {BY_SOURCE}; got {written!r}"
        )
    return int(text)


@dataclass(frozen=True)
class PrepareOptions:
    """Options for preparing a store, apart from its source.

    With `all_test` there are only test slices, and `test_fraction` and `folds` are ignored.
    """

    labels: list[Path] | None = option(
        None, "CSV with the labels (default: the one in SOURCE); with several sources, once for each."
    )
    format: Literal["auto", "rsna", "ct-ich", "cq500", "nifti", "images", "folders", "scans"] = option(
        "auto", "Layout of SOURCE."
    )
    readers: Literal["any", "majority", "all"] = option(
        "majority", "How many of a scan's readers must have seen a hemorrhage (CQ500)."
    )
    series: str = option(
        "auto",
        "Which series of a scan: one (auto, or the thinnest or thickest), all, or one whose description has REGEX "
        "(CQ500 and scans).",
        metavar="auto|all|thin|thick|REGEX",
    )
    boxes: list[Path] | None = option(
        None,
        "BHX's CSV of boxes around hemorrhages, which label slices of CQ500 (default: those beside the labels); may be "
        "repeated.",
    )
    patient: str | None = option(
        None,
        "Take the patient from each file's path: the group (or match) of this regular expression.",
        metavar="REGEX",
    )
    mask_classes: str = option(
        "",
        "Labels of the values in voxel masks, such as 1=epidural,2=subdural (0/1 masks need none).",
        metavar="N=LABEL,...",
        parser=checked_mask_classes,
    )
    size: int = option(256, "Pixels along a side of a stored slice.", min=32, max=1024)
    window: str = option("40/80", "Window that 8-bit images were made with.", metavar="C/W")
    test_fraction: float = option(0.2, "Share of the slices to test on.", min=0, max=0.5)
    folds: int | str = option(
        5,
        f"Folds of the slices outside the test set, 2 to {MOST_FOLDS}; or {BY_SOURCE}, to hold out each source whole.",
        metavar=f"INTEGER|{BY_SOURCE}",
    )
    keep_split: bool = option(
        False, "Test on the slices that SOURCE has in its test folder, instead of drawing a test set."
    )
    all_test: bool = option(
        False, "Only test slices, without folds: for an external test set or one patient."
    )
    seed: int = option(0, "Random seed of the splits.", min=0)
    workers: int | None = option(None, "Number of reading processes (default: one per core).", min=1)
    address: str | None = option(
        None, "Ray cluster to read the files on; all nodes must see SOURCE and STORE (default: this machine)."
    )
    hash_ids: bool = option(False, "Replace identifiers with salted hashes.")
    max_rejected: float = option(0.05, "Largest share of slices that may be rejected.", min=0, max=1)
    overwrite: bool = option(False, "Replace a finished store.")

    def __post_init__(self) -> None:
        """Refuse what can't be used before any source is opened."""
        Window.parse(self.window)
        parse_folds(self.folds)
        try:
            checked_mask_classes(self.mask_classes)
        except ValueError as error:
            raise InputError(f"--mask-classes {error}") from None

    @property
    def grey_window(self) -> Window:
        """The window that 8-bit images were made with."""
        return Window.parse(self.window)

    @property
    def reading(self) -> dict[str, str]:
        """The options of READING that aren't at their default, as written on the command line."""
        return {
            option.name: plain(getattr(self, option.name))
            for option in options_of(PrepareOptions)
            if option.name in READING and getattr(self, option.name) != option.default
        }
