"""Batch normalisation by the statistics of whole batches, whose parts several processes hold."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import distributed
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class SharedBatchNorm(TorchFunctionMode):
    """While active, all members of the process group train batch normalisation on their parts of a batch as a whole.

    Every member has to run the network as often as the others, if need be on a part without images. It works on every
    device and for every module that calls torch's `batch_norm`; torch's own `SyncBatchNorm` needs a GPU, and replaces
    modules.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is functional.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class _Total(torch.autograd.Function):
    """The sum of a tensor over all members; as every member's loss depends on it, so is its gradient."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> torch.Tensor:
        total = grad_outputs[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


def _batch_norm(
    inputs: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """torch's `batch_norm` of `[n, C, ...]`, n differing between members and 0 for some of them."""
    if not training:
        return functional.batch_norm(inputs, running_mean, running_var, weight, bias, training, momentum, eps)
    values = inputs.float()
    over = [axis for axis in range(values.dim()) if axis != 1]
    shape = [1, -1, *[1] * (values.dim() - 2)]
    here = values.new_tensor([values.numel() / values.shape[1]])
    *total, count = _Total.apply(torch.cat([values.sum(over), here])).split([values.shape[1], 1])
    mean = total[0] / count
    centred = values - mean.view(shape)
    variance = _Total.apply(centred.square().sum(over)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * count / (count - 1), momentum)
    normalized = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        normalized = normalized * weight.view(shape)
    if bias is not None:
        normalized = normalized + bias.view(shape)
    return normalized.to(inputs.dtype)
