"""What each picture of a search or a model shows, for readers who have never seen one."""

from typing import Final, NamedTuple

from ichtune.labels import LABELS


class Caption(NamedTuple):
    """A picture's title, and how to read it."""

    title: str
    text: str


CAPTIONS: Final = {
    "progress": Caption(
        "Progress",
        "Every trial's score in search order, marked by how the trial ended, with the best score so far.",
    ),
    "saved": Caption(
        "Epochs saved",
        "The epochs that each trial trained, most first; hatched are those that it saved by ending early.",
    ),
    "importance": Caption(
        "Importance",
        "How much of the score's variance each setting explains within its branch, with the deviation over forests. A "
        "bar that does not reach beyond its chance mark means nothing.",
    ),
    "curves": Caption(
        "Learning curves",
        "The score after each epoch: the best trials on top of all others in grey. Dotted lines mark where "
        "ASHA stops trials that lag behind.",
    ),
    "slices": Caption(
        "Setting by setting",
        "The scores of all trials against each setting, and the effect of its values averaged over everything else.",
    ),
    "parallel": Caption(
        "All trials", "Each line is a trial, across all settings down to its score; the better, the darker."
    ),
    "folds": Caption(
        "Folds",
        "The best trials on each fold, with the mean and its 95 % interval. If all trials move alike from fold to "
        "fold, the folds differ, not the recipes.",
    ),
    "labels": Caption(
        "Labels",
        "The AUC of each label with its 95 % interval by patient, and how many patients are positive for it.",
    ),
    "reliability": Caption(
        "Reliability",
        "How often a label was present, against its predicted probability, out of fold. On the diagonal, "
        "probabilities are well calibrated; the bars below count slices.",
    ),
    "trainings": Caption(
        "Loss and accuracy",
        "After each epoch, the loss in training (thin) and validation, and the share of slices with all labels right; "
        "means over the trainings of a model.",
    ),
    "calibration": Caption(
        "Calibration",
        "How often a label was present, against its predicted probability, as trained, and calibrated on "
        "other patients. On the diagonal, probabilities are well calibrated; the bars below count slices.",
    ),
    "roc": Caption(
        "ROC curves",
        "How many of the positives are found (sensitivity), against how many of the negatives are called positive. The "
        "dotted diagonal is guessing; dots are the model's thresholds.",
    ),
    "precision_recall": Caption(
        "Precision and recall",
        "How many of those called positive are, against how many positives are found. Dotted lines are the prevalence, "
        "the precision of guessing; dots are the model's thresholds.",
    ),
    "worst": Caption(
        "Largest errors",
        "Of each label, positives with the lowest probability and negatives with the highest, in the brain window; "
        "each of another patient where there are such. worst.csv names them.",
    ),
    "classes": Caption(
        "Classes",
        "Slices of each class, with a tick where it is recognised at its threshold. The upper bar is the share of the "
        "class that is recognised (a label's sensitivity; for none, the specificity), the lower one the share of all "
        "slices with all labels right.",
    ),
} | {
    f"evidence-{label}": Caption(
        f"Evidence for {label}",
        "Activation maps of the clearest slices that the model gets right, of false alarms and of misses, one of each "
        "patient first. Bright is where it found the evidence, in as fine a grid as its last layer has. Heat outside "
        "the head can't be about blood.",
    )
    for label in LABELS
}


def caption_of(name: str) -> Caption:
    """The caption of a picture by its file name, from which an unknown picture takes its title."""
    return CAPTIONS.get(name, Caption(name.replace("_", " ").capitalize(), ""))
