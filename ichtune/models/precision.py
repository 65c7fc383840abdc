"""The precision that a backbone is computed in on this machine."""

from typing import Literal

import torch

from ichtune.recipe import Precision


def resolved(precision: Precision | Literal["auto"]) -> Precision:
    """Return a recipe's precision, with `auto` resolved to what this machine's GPU or CPU supports natively.

    A CPU without bfloat16 instructions can still compute in it, but ten times slower than in float32.
    """
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    instructions = (name for name, has in torch.cpu.get_capabilities().items() if has is True)
    return "bfloat16" if any("bf16" in name for name in instructions) else "float32"
