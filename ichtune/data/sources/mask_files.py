"""Which of a folder's volumes are voxel masks, and of which volume each is one."""

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from ichtune.data.columns import plain
from ichtune.data.formats.nifti import without_volume_suffix
from ichtune.data.name_fits import without_suffix

_FOLDERS: Final = re.compile(
    r"(masks?|labels?|labelst[rs]|groundtruths?|gts?|segmentations?|segs?|annotations?)"
)
_NAMES: Final = re.compile(
    r"(?:^|[_\-. ])(?:ich[_\-]?)?(masks?|labels?|segmentation|seg|gt|groundtruth)$", re.IGNORECASE
)
_CHANNEL: Final = re.compile(r"_0000$")  # nnU-Net names the first channel of an image so


@dataclass(frozen=True)
class Paired:
    """CT volumes with the file of their mask (None without one), and why masks or volumes aren't matched."""

    masks: dict[str, str | None]
    rejected: dict[str, str]


def pair_masks(files: list[str]) -> Paired:
    """Tell masks from volumes by the names of folders and files, and match them by name."""
    masks = [file for file in files if is_mask(file)]
    volumes = [file for file in files if file not in set(masks)]
    by_key: dict[str, list[str]] = defaultdict(list)
    for volume in volumes:
        for key in _keys_of_volume(volume):
            by_key[key].append(volume)
    paired: dict[str, list[str]] = {volume: [] for volume in volumes}
    rejected: dict[str, str] = {}
    for mask in masks:
        found = next((by_key[key] for key in _keys_of_mask(mask) if key in by_key), [])
        if len(found) == 1:
            paired[found[0]].append(mask)
        else:
            shown = ", ".join(map(repr, sorted(found)[:2]))
            rejected[mask] = (
                f"a mask that fits {len(found)} volumes: {shown}" if found else "a mask without a volume"
            )
    for volume, own in paired.items():
        if len(own) > 1:
            rejected[volume] = f"two masks fit it: {', '.join(map(repr, sorted(own)[:2]))}"
    return Paired({v: own[0] if len(own) == 1 else None for v, own in paired.items()}, rejected)


def is_mask(file: str) -> bool:
    """Whether a file is a mask by its own name or that of a folder, such as `masks/7.nii` or `7_seg.png`."""
    *folders, name = without_suffix(without_volume_suffix(file)).split("/")
    return any(_FOLDERS.fullmatch(plain(folder)) for folder in folders) or bool(_NAMES.search(name))


def _keys_of_volume(file: str) -> list[str]:
    """Return under which names a mask may look for a volume: its path, that without one folder, and its folder."""
    *folders, name = without_volume_suffix(file).split("/")
    name = _CHANNEL.sub("", name)
    paths = [[*folders[:k], *folders[k + 1 :], name] for k in range(len(folders))]
    return list(dict.fromkeys("/".join(path) for path in ([*folders, name], *paths, [*folders, ""])))


def _keys_of_mask(file: str) -> list[str]:
    """Return the names of the volume that a mask may belong to, the closest first."""
    *folders, name = without_volume_suffix(file).split("/")
    bare = _NAMES.sub("", name)
    at = max((k for k, folder in enumerate(folders) if _FOLDERS.fullmatch(plain(folder))), default=None)
    if at is None:  # beside its volume, under the volume's name or as the only mask of the folder
        return ["/".join([*folders, bare])] if bare and bare != name else ["/".join([*folders, ""])]
    without = [*folders[:at], *folders[at + 1 :]]
    return list(dict.fromkeys("/".join([*without, last]) for last in (name, bare) if last))
