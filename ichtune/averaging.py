"""What several models say of a slice together."""

from typing import Final

import numpy as np
from scipy.special import expit, logit

# Mean probabilities of exactly 0 or 1 would have no logit that half precision holds.
MOST_CERTAIN: Final = 1e-7


def mean_prediction(logits: np.ndarray) -> np.ndarray:
    """Return the logit of the mean probability of M models, float64 `[n, 6]`, from their logits `[M, n, 6]`.

    NaN where any of them has no prediction.
    """
    probs = expit(logits.astype(np.float64)).mean(axis=0)
    return logit(np.clip(probs, MOST_CERTAIN, 1 - MOST_CERTAIN))


def together(logits: np.ndarray) -> np.ndarray:
    """Return the logits of the mean probability of M models, `[n, 6]` of the same type, from `[M, n, 6]`.

    Those of a single model are its own.
    """
    return logits[0] if len(logits) == 1 else mean_prediction(logits).astype(logits.dtype)
