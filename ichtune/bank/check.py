"""Verification of finished features against the checksums written with them."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ichtune.bank.part import MEND, BankError, BankPart
from ichtune.checksums import agrees
from ichtune.progress import Report


def verify(parts: Sequence[BankPart], report: Report = lambda *_: None) -> None:
    """Compare finished parts with their checksums, once per process because it reads them completely.

    Parts from an earlier version have no checksum and are accepted as they are. `report` is called with the number of
    rows compared, and the total over all parts.

    Raises:
        BankError: the features of a part have changed.
    """
    done, total = 0, sum(part.count for part in parts)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing releases the GIL
        for part, sound in zip(parts, pool.map(_is_sound, parts), strict=True):
            if not sound:
                pool.shutdown(cancel_futures=True)
                raise BankError(f"{part.file}: changed since it was computed (its checksum differs); {MEND}")
            done += part.count
            report(done, total, "")


def _is_sound(part: BankPart) -> bool:
    return agrees(part.file, part.checksum)
