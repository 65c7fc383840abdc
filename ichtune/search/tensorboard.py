"""A trial's curves and hyperparameters for TensorBoard, in the trial's own folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams


class TrialBoard:
    """Writes scalars an epoch, and what the HPARAMS tab shows: the parameters, and the metrics' last values."""

    def __init__(self, folder: Path, params: Mapping[str, Any], metrics: list[str]) -> None:
        self._writer = SummaryWriter(str(folder), flush_secs=10, max_queue=1000)
        plain = {
            name: value if isinstance(value, bool | int | float) else str(value)
            for name, value in params.items()
        }
        experiment, start, _ = hparams(plain, dict.fromkeys(metrics, 0.0))
        for summary in (experiment, start):
            self._writer._get_file_writer().add_summary(summary)

    def add(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """One epoch's values by tag; NaN, which no curve can show, is left out."""
        for tag, value in scalars.items():
            if value == value:
                self._writer.add_scalar(tag, value, epoch)

    def close(self) -> None:
        self._writer.close()
