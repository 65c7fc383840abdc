"""A trial's curves and hyperparameters for TensorBoard, in the trial's folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams


class TensorBoardWriter:
    """Writes scalars per epoch, and the parameters for the HPARAMS tab."""

    def __init__(self, folder: Path, params: Mapping[str, Any]) -> None:
        self._writer = SummaryWriter(str(folder), flush_secs=10, max_queue=1000)
        plain = {
            name: value if isinstance(value, bool | int | float) else str(value)
            for name, value in params.items()
        }
        # Without a summary of the whole experiment, TensorBoard collects the parameters from all trials; with one, it
        # would show only those of the first trial's branches.
        _, start, _ = hparams(plain, {})
        self._writer._get_file_writer().add_summary(start)

    def add(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """Write one epoch's values by tag; NaN is left out."""
        for tag, value in scalars.items():
            if value == value:
                self._writer.add_scalar(tag, value, epoch)

    def close(self) -> None:
        self._writer.close()
