"""One GRU or LSTM layer of several folds at once: the arithmetic of torch's own layers, batched over folds.

Torch has no batched form of its recurrent layers (`torch.func.vmap` refuses them), and on a CPU nearly all of their
time goes into starting one small operation after the other, so all folds and both directions take each time step
together. On a GPU, cuDNN's own layers are used one by one.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ichtune.models.heads.gru import GRUSteps
from ichtune.models.heads.layers import Recurrent
from ichtune.models.heads.scan_grid import ScanGrid


def side_by_side(
    layers: Sequence[Recurrent], values: Sequence[torch.Tensor], grids: Sequence[ScanGrid]
) -> list[torch.Tensor]:
    """Return what each fold's layer makes of its own values `[n_f, W]`, as each would alone within rounding."""
    recurrents = [layer.recurrent for layer in layers]
    cells, shape = _cells(grids, directions=1 + recurrents[0].bidirectional)
    gates = torch.cat([_of_inputs(rnn, value) for rnn, value in zip(recurrents, values, strict=True)])
    laid_out = gates.new_zeros(int(np.prod(shape)), gates.shape[2]).index_copy(0, cells, gates.flatten(0, 1))
    steps = GRUSteps.apply if isinstance(recurrents[0], nn.GRU) else _lstm
    outputs = steps(laid_out.unflatten(0, shape), *_of_state(recurrents))
    found = outputs.flatten(0, 2).index_select(0, cells).view(len(gates), -1)
    by_fold = found.split([len(value) for value in values])
    return [layer.dropout(output) for layer, output in zip(layers, by_fold, strict=True)]


def _cells(grids: Sequence[ScanGrid], directions: int) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """Return where each slice is in `[T, F * directions, S]` in each direction, int64 `[n * directions]`, and T, ...

    Either direction begins at time 0, so that padding comes last.
    """
    scans, groups = max(len(grid.sizes) for grid in grids), len(grids) * directions
    cells = []
    for fold, grid in enumerate(grids):
        scan = np.repeat(np.arange(len(grid.sizes)), grid.sizes)
        forward = grid.place.numpy()
        times = [forward, np.repeat(grid.sizes, grid.sizes) - 1 - forward][:directions]
        both = [(time * groups + fold * directions + n) * scans + scan for n, time in enumerate(times)]
        cells.append(np.stack(both, axis=1).reshape(-1))
    return torch.from_numpy(np.concatenate(cells)), (max(grid.length for grid in grids), groups, scans)


def _of_inputs(rnn: nn.GRU | nn.LSTM, values: torch.Tensor) -> torch.Tensor:
    """Return what the inputs `[n, W]` add to the gates in each direction, `[n, directions, gates]`."""
    weight = torch.cat([getattr(rnn, f"weight_ih_l0{end}") for end in _ends(rnn)])
    bias = torch.cat([getattr(rnn, f"bias_ih_l0{end}") for end in _ends(rnn)])
    return torch.addmm(bias, values, weight.T).unflatten(1, (len(_ends(rnn)), -1))


def _of_state(recurrents: Sequence[nn.GRU | nn.LSTM]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weights `[G, H, gates]` and biases `[G, 1, gates]` of the hidden state, by fold and direction."""
    weights = (getattr(rnn, f"weight_hh_l0{end}").T for rnn in recurrents for end in _ends(rnn))
    biases = (getattr(rnn, f"bias_hh_l0{end}")[None] for rnn in recurrents for end in _ends(rnn))
    return torch.stack(list(weights)), torch.stack(list(biases))


def _ends(rnn: nn.GRU | nn.LSTM) -> list[str]:
    """How the names of torch's parameters end in each direction."""
    return ["", "_reverse"][: 1 + rnn.bidirectional]


def _lstm(given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return what `GRUSteps` does, by the equations and the order of gates of `nn.LSTM`'s documentation."""
    hidden = cell = given.new_zeros(*given.shape[1:3], weight.shape[1])
    states = []
    for inputs in given.unbind(0):
        keep, forget, new, output = (inputs + torch.baddbmm(bias, hidden, weight)).chunk(4, dim=-1)
        cell = torch.addcmul(forget.sigmoid() * cell, keep.sigmoid(), new.tanh())
        hidden = output.sigmoid() * cell.tanh()
        states.append(hidden)
    return torch.stack(states)
