"""How a backbone is trained beside its head."""

from typing import Annotated, Literal

from pydantic import Field

from ichtune.recipe.sections import Number, Positive, Section

BatchNorm = Literal["trained", "kept"]


class Finetuning(Section):
    """How a trained backbone differs from its head; `model.train` is how much of it is trained.

    Without a trained backbone, nothing of this has an effect.
    """

    backbone_rate: Positive = 1.0
    """The backbone's learning rate as a factor of the head's, which is the optimizer's (discriminative fine-tuning,
    Howard and Ruder, "Universal language model fine-tuning for text classification", 2018, section 3.2)."""
    layer_decay: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """What the rate is multiplied by at each stage away from the head: that of the d-th stage from the head is
    `lr * backbone_rate * layer_decay**d` (Clark et al., "ELECTRA", 2020; Bao et al., "BEiT", 2022)."""
    batch_norm: BatchNorm = "trained"
    """With `kept`, statistics, scales and shifts of batch normalisation stay as in the weights (as in He et al., "Deep
    residual learning for image recognition", 2016, appendix A)."""
