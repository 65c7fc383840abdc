"""How a trial ended."""

from enum import StrEnum


class TrialEnd(StrEnum):
    """Why a trial ended; the values are used on disk, in the journal and in tables."""

    LAST_EPOCH = "last epoch"
    PATIENCE = "patience"
    DIVERGED = "diverged"
    ASHA = "asha"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    REPEATED = "repeated"
    """It proposed a recipe that the study already had, and reused its result."""
    RUNNING = "running"
    """It hasn't ended."""
