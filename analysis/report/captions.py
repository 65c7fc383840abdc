"""What each picture of a search shows, for a reader who has not seen one before."""

from typing import Final, NamedTuple


class Caption(NamedTuple):
    """A picture's title and what to see in it."""

    title: str
    text: str


CAPTIONS: Final = {
    "progress": Caption(
        "Progress",
        "Every trial's score in the order of the search, by how the trial ended, with the best so far.",
    ),
    "saved": Caption(
        "Epochs spared",
        "The epochs that each trial trained, most first; hatched those that it was spared by ending early.",
    ),
    "importance": Caption(
        "Importance",
        "How much of the score's variance each setting decides within its branch, with the deviation over forests. A "
        "bar that does not reach beyond its mark of chance says nothing.",
    ),
    "curves": Caption(
        "Learning curves",
        "The score after each epoch: the best trials, over all others in grey. Dotted lines mark where "
        "trials that lag behind are stopped.",
    ),
    "slices": Caption(
        "Each setting by itself",
        "The scores of all trials against each setting, and what its values go with when all else is averaged over.",
    ),
    "parallel": Caption(
        "All trials", "A line is a trial, across all settings down to its score; the better, the darker."
    ),
    "folds": Caption(
        "Folds",
        "The best trials on each fold, with the mean and its 95 % interval. Where all move alike from fold to fold, "
        "the folds differ, not the recipes.",
    ),
    "labels": Caption(
        "Labels",
        "The AUC of each label with its 95 % interval by patient, and how many patients show the label.",
    ),
    "reliability": Caption(
        "Reliability",
        "How often a label was there, against the probability that was predicted for it, out of fold. On the diagonal "
        "probabilities come true; the bars below count slices.",
    ),
}


def caption_of(name: str) -> Caption:
    """The caption of a picture by the name of its file, which stands in for one that has none."""
    return CAPTIONS.get(name, Caption(name.replace("_", " ").capitalize(), ""))
