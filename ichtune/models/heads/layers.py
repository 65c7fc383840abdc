"""Layers that look along scans: torch's recurrent layers, self-attention and convolutions on scans of any length."""

import math

import torch
from torch import nn

from ichtune.models.dropout import HiddenDropout
from ichtune.models.heads.scan_grid import ScanGrid, WholeScan
from ichtune.recipe import GRU, LSTM, Attention, Conv, ScanHead

_SLOWEST = 10_000.0


class Recurrent(nn.Module):
    """A GRU or LSTM layer along the scan, in one or both directions: `[n, W]` to `[n, H]` or `[n, 2 H]`."""

    def __init__(self, recurrent: nn.GRU | nn.LSTM, dropout: HiddenDropout) -> None:
        super().__init__()
        self.recurrent, self.dropout = recurrent, dropout

    def forward(self, values: torch.Tensor, grid: ScanGrid | WholeScan) -> torch.Tensor:
        return self.dropout(grid.recur(self.recurrent, values))


class Convolution(nn.Module):
    """A convolution along the scan and ReLU: `[n, W]` to `[n, H]`; beyond a scan's ends there are zeros."""

    def __init__(self, width: int, hidden: int, kernel: int, dropout: HiddenDropout) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, hidden, kernel, padding="same")
        self.dropout = dropout

    def forward(self, values: torch.Tensor, grid: ScanGrid | WholeScan) -> torch.Tensor:
        outputs = self.convolution(grid.laid_out(values).transpose(1, 2)).relu()
        return self.dropout(grid.collected(outputs.transpose(1, 2)))


class Embedding(nn.Module):
    """A linear map of the inputs `[n, W]` to `[n, H]`, with the sines and cosines of each slice's place in the scan.

    The places are encoded as in Vaswani et al., "Attention is all you need", 2017, section 3.5.
    """

    def __init__(self, width: int, hidden: int, *, positions: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width, hidden)
        self.positions = positions

    def forward(self, values: torch.Tensor, grid: ScanGrid | WholeScan) -> torch.Tensor:
        embedded = self.linear(values)
        return embedded + encoded(grid.place, embedded.shape[1]) if self.positions else embedded


class SelfAttention(nn.Module):
    """A layer of torch's transformer encoder, whose slices see all slices of their own scan: `[n, H]` to `[n, H]`.

    Dropout is on what the layer adds to its inputs.
    """

    def __init__(self, hidden: int, heads: int, dropout: HiddenDropout) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            hidden, heads, 4 * hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.dropout = dropout

    def forward(self, values: torch.Tensor, grid: ScanGrid | WholeScan) -> torch.Tensor:
        outputs = self.layer(grid.laid_out(values), src_key_padding_mask=grid.padding)
        return values + self.dropout(grid.collected(outputs) - values)


def encoded(place: torch.Tensor, width: int) -> torch.Tensor:
    """Return sines and cosines `[n, width]` of places (int64 `[n]`)."""
    rates = torch.exp(torch.arange(0, width, 2, device=place.device) * (-math.log(_SLOWEST) / width))
    angles = place[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


def make_layers(config: ScanHead, width: int, key: tuple[int, ...]) -> tuple[list[nn.Module], int]:
    """Return a head's layers for `width` inputs, and the width of their outputs; `key` seeds the dropout."""
    dropouts = [HiddenDropout(config.dropout, [*key, number]) for number in range(config.layers)]
    hidden = config.hidden
    match config:
        case GRU() | LSTM():
            kind = nn.GRU if isinstance(config, GRU) else nn.LSTM
            output = hidden * (1 + config.bidirectional)
            widths = [width, *[output] * (config.layers - 1)]
            rnns = [
                kind(each, hidden, bidirectional=config.bidirectional, batch_first=True) for each in widths
            ]
            return [Recurrent(rnn, drop) for rnn, drop in zip(rnns, dropouts, strict=True)], output
        case Attention():
            embedding = Embedding(width, hidden, positions=config.positions)
            return [embedding, *(SelfAttention(hidden, config.heads, drop) for drop in dropouts)], hidden
        case Conv():
            widths = [width, *[hidden] * (config.layers - 1)]
            pairs = zip(widths, dropouts, strict=True)
            return [Convolution(each, hidden, config.kernel, drop) for each, drop in pairs], hidden
