"""The six labels of a slice in the order used everywhere, and their weights in the challenge's log loss."""

from typing import Final

SUBTYPES: Final = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
ANY: Final = "any"
LABELS: Final = (*SUBTYPES, ANY)

# RSNA Intracranial Hemorrhage Detection (2019), evaluation: "any" counts twice in the weighted log loss.
CHALLENGE_WEIGHTS: Final = (1.0, 1.0, 1.0, 1.0, 1.0, 2.0)
