"""Heads that score each slice from all slices of its scan."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ichtune.labels import LABELS
from ichtune.models.heads.layers import Recurrent, make_layers
from ichtune.models.heads.protocol import Sizes
from ichtune.models.heads.recurrence import side_by_side
from ichtune.models.heads.scan_grid import ScanGrid, WholeScan
from ichtune.models.heads.separate import Key, SeparateHeads
from ichtune.recipe import ScanHead


class ScanReader(nn.Module):
    """A head on features `[n, D]` of scans: layers along the scan, then logits `[n, 6]`."""

    def __init__(self, config: ScanHead, width: int, key: Key) -> None:
        super().__init__()
        self.differences = config.differences
        layers, outputs = make_layers(config, width * (3 if config.differences else 1), key)
        self.layers = nn.ModuleList(layers)
        self.output = nn.Linear(outputs, len(LABELS))

    def forward(self, features: torch.Tensor, sizes: Sizes | None = None) -> torch.Tensor:
        """`sizes` are the numbers of slices of the scans; without them, all n slices are one scan."""
        if not len(features):
            return features.new_zeros(0, len(LABELS))
        return self.read(
            features,
            ScanGrid(np.asarray([len(features)] if sizes is None else sizes, np.int64), features.device),
        )

    def read(self, features: torch.Tensor, grid: ScanGrid | WholeScan) -> torch.Tensor:
        """Return the logits of features that lie on a grid."""
        values = self.inputs(features, grid)
        for layer in self.layers:
            values = layer(values, grid)
        return self.output(values)

    def inputs(
        self, features: torch.Tensor, grid: ScanGrid | WholeScan, dropout: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the first layer's inputs: the features and perhaps their differences to the slices below and above.

        `dropout` `[n, D]` multiplies all three alike, so that a dropped feature doesn't shine through a difference.
        """
        inputs = [features, *(grid.differences(features) if self.differences else ())]
        return torch.cat(inputs if dropout is None else [each * dropout for each in inputs], dim=1)


class ScanHeads(SeparateHeads):
    """A `ScanReader` per fold. The folds' recurrent layers take each time step together on a CPU."""

    def _logits(
        self, inputs: torch.Tensor, dropout: torch.Tensor | None, sizes: Sequence[Sizes] | None
    ) -> torch.Tensor:
        rows = inputs.shape[1]
        own = [np.asarray(each, np.int64) for each in sizes or [[rows]] * len(self)]
        active = [fold for fold, each in enumerate(own) if len(each)]
        readers = [cast("ScanReader", self.each[fold]) for fold in active]
        grids = [ScanGrid(own[fold], inputs.device) for fold in active]
        values = []
        for fold, reader, grid in zip(active, readers, grids, strict=True):
            real = len(grid.place)
            mask = None if dropout is None else dropout[fold, :real]
            values.append(reader.inputs(inputs[fold, :real], grid, mask))
        for layers in zip(*(reader.layers for reader in readers), strict=True):
            values = _through(layers, values, grids)
        logits = [inputs.new_zeros(rows, len(LABELS))] * len(self)
        for fold, reader, value in zip(active, readers, values, strict=True):
            logits[fold] = functional.pad(reader.output(value), (0, 0, 0, rows - len(value)))
        return torch.stack(logits)


def _through(
    layers: Sequence[nn.Module], values: list[torch.Tensor], grids: list[ScanGrid]
) -> list[torch.Tensor]:
    recurrent = [layer for layer in layers if isinstance(layer, Recurrent)]
    if len(recurrent) == len(layers) and values[0].device.type == "cpu":
        return side_by_side(recurrent, values, grids)
    return [layer(value, grid) for layer, value, grid in zip(layers, values, grids, strict=True)]
