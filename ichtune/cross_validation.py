"""How often a recipe is trained and scored: folds, and rounds of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CrossValidation:
    """On which folds each trial is scored.

    print(CrossValidation(folds=5, partitions=4))  # 4 x 5
    """

    folds: int
    """How many folds of each partition are held out, one after the other."""
    partitions: int = 1
    """How many partitions of the training patients into folds."""

    @property
    def rounds(self) -> int:
        """How many times all folds are gone through: once for each partition."""
        return self.partitions

    @property
    def trainings(self) -> int:
        """How many models a trial trains: one for each fold of each round."""
        return self.rounds * self.folds

    def __str__(self) -> str:
        return f"{self.partitions} x {self.folds}" if self.partitions > 1 else str(self.folds)
