"""A run's pictures in TensorBoard, under IMAGES beside its trials' curves."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from ichtune.runs.folder import RunFolder


def add_to_tensorboard(run: RunFolder, pictures: Sequence[Path]) -> None:
    """Put PNG pictures, by their names, where `tensorboard --logdir RUN/trials` finds them; earlier ones go.

    They are a run of their own beside the trials, as TensorBoard shows of more than forty runs only those ticked,
    and one group, which it opens as a whole.
    """
    folder = run.trials / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        for file in pictures:
            with Image.open(file) as picture:
                writer.add_image(f"search/{file.stem}", np.asarray(picture.convert("RGB")), dataformats="HWC")
