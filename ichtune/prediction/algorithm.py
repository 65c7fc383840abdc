"""What predicted, in the words of a structured report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Algorithm:
    """An algorithm's identification (PS3.16, TID 4019)."""

    name: str
    version: str
    parameters: tuple[str, ...]
    digest: str
    """Identifies the models, by which the reports of the same scan and models have the same UIDs."""
