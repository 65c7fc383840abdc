"""Scans of different lengths on one grid, and back; or a single one as it is."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class ScanGrid:
    """Where n slices, scan after scan, are on a grid of S scans by the L slices of the longest."""

    def __init__(self, sizes: np.ndarray, device: torch.device) -> None:
        """`sizes` are the numbers of slices of the scans, int64 `[S]`, each at least 1."""
        self.sizes = sizes
        self.length = int(sizes.max())
        """L"""
        starts = np.cumsum(sizes) - sizes
        place = np.arange(sizes.sum()) - np.repeat(starts, sizes)
        self.place = torch.from_numpy(place).to(device)
        """The number of each slice in its scan, from 0 at the feet, int64 `[n]`."""
        cells = place + self.length * np.repeat(np.arange(len(sizes)), sizes)
        self._cells = torch.from_numpy(cells).to(device)

    @property
    def lengths(self) -> torch.Tensor:
        """The scans' numbers of slices, int64 `[S]`, on the CPU."""
        return torch.from_numpy(self.sizes)

    @property
    def padding(self) -> torch.Tensor:
        """Which cells hold no slice, `[S, L]`."""
        cells = torch.arange(self.length, device=self._cells.device)
        return cells >= self.lengths.to(cells.device)[:, None]

    def laid_out(self, values: torch.Tensor) -> torch.Tensor:
        """Lay the slices' values `[n, W]` out on the grid `[S, L, W]`, 0 where there is no slice."""
        empty = values.new_zeros(len(self.sizes) * self.length, values.shape[1])
        return empty.index_copy(0, self._cells, values).unflatten(0, (-1, self.length))

    def collected(self, grid: torch.Tensor) -> torch.Tensor:
        """Collect the values `[n, W]` of the slices from a grid `[S, L, W]`."""
        return grid.flatten(0, 1).index_select(0, self._cells)

    def recur(self, recurrent: nn.GRU | nn.LSTM, values: torch.Tensor) -> torch.Tensor:
        """Run a recurrent layer along each scan, `[n, W]` to `[n, H]`."""
        packed = pack_padded_sequence(
            self.laid_out(values), self.lengths, batch_first=True, enforce_sorted=False
        )
        outputs, _ = pad_packed_sequence(recurrent(packed)[0], batch_first=True)
        return self.collected(outputs)

    def differences(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return each slice's differences to the ones below and above it, each `[n, W]`; 0 at a scan's ends."""
        steps = functional.pad(values[1:] - values[:-1], (0, 0, 1, 1))
        last = torch.from_numpy(np.repeat(self.sizes, self.sizes) - 1).to(self.place.device)
        below = torch.where((self.place == 0)[:, None], 0, steps[:-1])
        above = torch.where((self.place == last)[:, None], 0, -steps[1:])
        return below, above


class WholeScan:
    """What a `ScanGrid` of a single scan is, in operations that can be traced for any number of slices."""

    def __init__(self, values: torch.Tensor) -> None:
        """`values` have a row per slice."""
        self.place = torch.arange(values.shape[0], device=values.device)
        self.padding = None

    def laid_out(self, values: torch.Tensor) -> torch.Tensor:
        return values[None]

    def collected(self, grid: torch.Tensor) -> torch.Tensor:
        return grid[0]

    def recur(self, recurrent: nn.GRU | nn.LSTM, values: torch.Tensor) -> torch.Tensor:
        return recurrent(values[None])[0][0]

    def differences(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        steps = functional.pad(values[1:] - values[:-1], (0, 0, 1, 1))
        return steps[:-1], -steps[1:]
