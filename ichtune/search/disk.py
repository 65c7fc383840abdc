"""A full disk, which is kept apart from all other failures: no recipe is to blame for it."""

import errno

DISK_FULL = "disk_full"
"""Key of a trial's result that ends the search; its value is the disk's error message."""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether this error, or one of its causes, is a full disk or an exhausted quota."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
