"""How often a recipe is trained and scored: on each fold, with each seed, and on each partition of the patients."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CrossValidation:
    """On which folds each trial is scored, and how often.

    A *round* is one cross-validation: all folds of one partition, trained with one seed. Rounds come seed by seed, so
    the first is that of the store's own partition, and those with fewer seeds are the first of those with more.

        print(CrossValidation(folds=5, partitions=2, seeds=4))  # 4 seeds x 2 x 5
    """

    folds: int
    """How many folds of each partition are held out, one after the other."""
    partitions: int = 1
    """How many partitions of the training patients into folds."""
    seeds: int = 1
    """How many times each fold is trained, with other random numbers each time."""

    @property
    def rounds(self) -> int:
        return self.seeds * self.partitions

    @property
    def trainings(self) -> int:
        """How many models a trial trains: one for each fold of each round."""
        return self.rounds * self.folds

    @property
    def round_names(self) -> list[str]:
        """The name of each round by what it differs in: `seed 2`, `partition 2` or `seed 2, partition 1`."""
        seeds = [f"seed {number + 1}" if self.seeds > 1 else "" for number in range(self.seeds)]
        parts = [
            f"partition {number + 1}" if self.partitions > 1 else "" for number in range(self.partitions)
        ]
        return [", ".join(filter(None, (seed, part))) for seed in seeds for part in parts]

    def common(self, other: "CrossValidation") -> "CrossValidation":
        """Return the part that this and another cross-validation of the same store share."""
        return CrossValidation(
            min(self.folds, other.folds),
            min(self.partitions, other.partitions),
            min(self.seeds, other.seeds),
        )

    def rounds_within(self, larger: "CrossValidation") -> list[int]:
        """Return the places of its rounds among those of a larger cross-validation of which it is a part."""
        return [
            seed * larger.partitions + partition
            for seed in range(self.seeds)
            for partition in range(self.partitions)
        ]

    def folds_within(self, larger: "CrossValidation") -> list[int]:
        """Return the places of its folds, round by round, among those of a larger cross-validation."""
        return [of * larger.folds + fold for of in self.rounds_within(larger) for fold in range(self.folds)]

    def __str__(self) -> str:
        seeds = f"{self.seeds} seeds x " if self.seeds > 1 else ""
        return f"{seeds}{self.partitions} x {self.folds}" if self.partitions > 1 else f"{seeds}{self.folds}"
