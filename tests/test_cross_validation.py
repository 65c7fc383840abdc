"""What two cross-validations of one store share, and where it is in each."""

from ichtune.cross_validation import CrossValidation

LARGER = CrossValidation(folds=3, partitions=2, seeds=2)


def test_two_share_the_smaller_number_of_folds_partitions_and_seeds():
    other = CrossValidation(folds=2, partitions=4, seeds=1)
    assert LARGER.common(other) == other.common(LARGER) == CrossValidation(folds=2, partitions=2, seeds=1)


def test_the_first_folds_of_the_first_partitions_of_each_seed_are_shared():
    # Of twelve folds: seed 1, partition 1; seed 1, partition 2; seed 2, partition 1; seed 2, partition 2.
    one_partition = CrossValidation(folds=2, partitions=1, seeds=2)
    assert one_partition.rounds_within(LARGER) == [0, 2]
    assert one_partition.folds_within(LARGER) == [0, 1, 6, 7]
    assert LARGER.folds_within(LARGER) == list(range(12))
