"""A disk without room: told apart from all other failures, as no recipe can help it."""

import errno

DISK_FULL = "disk_full"
"""Key of a trial's result that ends the search: what the disk said."""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether this error, or what it came from, is that a disk (or a quota) is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
