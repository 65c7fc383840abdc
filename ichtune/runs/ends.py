"""How a trial ended."""

from enum import StrEnum


class TrialEnd(StrEnum):
    """Why a trial ended; the values are those on disk, in the journal and in tables."""

    LAST_EPOCH = "last epoch"
    PATIENCE = "patience"
    DIVERGED = "diverged"
    ASHA = "asha"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    REPEATED = "repeated"
    """A proposal of a recipe that the study already knew: it took that one's result."""
    RUNNING = "running"
    """It has not ended."""
