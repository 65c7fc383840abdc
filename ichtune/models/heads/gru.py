"""The recurrence of `nn.GRU` for groups of scans with different weights, and its gradient."""

from typing import Any

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class GRUSteps(Function):
    """Hidden states `[T, G, S, H]` of what the inputs add to the gates `[T, G, S, 3 H]`, beginning with zeros.

    With the weights `[G, H, 3 H]` and biases `[G, 1, 3 H]` of the hidden state, in the equations and the order of gates
    (reset, update, new) of `nn.GRU`'s documentation. The gradient is written out: autograd would start about three
    times as many operations, each too small to be worth its start, and this halves the time.
    """

    @staticmethod
    def forward(ctx: Any, given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        times, groups, scans, gates = given.shape
        size = gates // 3
        states = given.new_zeros(times + 1, groups, scans, size)
        own, two = torch.empty_like(given), given.new_empty(times, groups, scans, 2 * size)
        new = given.new_empty(times, groups, scans, size)
        for t in range(times):
            torch.baddbmm(bias, states[t], weight, out=own[t])
            torch.add(given[t, ..., : 2 * size], own[t, ..., : 2 * size], out=two[t]).sigmoid_()
            reset, update = two[t].chunk(2, dim=-1)
            torch.addcmul(given[t, ..., 2 * size :], reset, own[t, ..., 2 * size :], out=new[t]).tanh_()
            torch.lerp(new[t], states[t], update, out=states[t + 1])
        ctx.save_for_backward(states, own[..., 2 * size :], two, new, weight)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        states, own_new, two, new, weight = ctx.saved_tensors
        reset, update = two.chunk(2, dim=-1)
        # What a change of a state changes in `given + own` of each gate, before its non-linearity.
        by_new = (1 - update) * (1 - new.square())
        by_update = (states[:-1] - new) * update * (1 - update)
        by_reset = by_new * own_new * reset * (1 - reset)
        of_own = torch.stack([by_reset, by_update, by_new * reset], dim=3)
        own, of_state, back = torch.empty_like(of_own), torch.empty_like(new), weight.transpose(1, 2)
        state = wanted[-1]
        for t in reversed(range(len(new))):
            of_state[t] = state
            torch.mul(state[:, :, None], of_own[t], out=own[t])
            if t:
                direct = torch.addcmul(wanted[t - 1], state, update[t])
                state = torch.baddbmm(direct, own[t].flatten(2), back)
        given = own.clone()
        torch.mul(of_state, by_new, out=given[..., 2, :])
        own = own.flatten(3)
        of_weight = _by_group(states[:-1]).transpose(1, 2) @ _by_group(own)
        return given.flatten(3), of_weight, own.sum(dim=(0, 2))[:, None]


def _by_group(values: torch.Tensor) -> torch.Tensor:
    """Return `[G, T * S, H]` of `[T, G, S, H]`."""
    return values.transpose(0, 1).flatten(1, 2)
