"""A run's pictures in TensorBoard, under IMAGES next to its trials' curves."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from ichtune.runs.folder import RunFolder


def add_to_tensorboard(run: RunFolder, pictures: Sequence[Path]) -> None:
    """Put PNG pictures, by name, where `tensorboard --logdir RUN/trials` finds them, replacing earlier ones.

    They are a separate TensorBoard run, because with more than forty runs it shows only the ticked ones, and a single
    group, which it opens as a whole.
    """
    folder = run.trials / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        for file in pictures:
            with Image.open(file) as picture:
                writer.add_image(f"search/{file.stem}", np.asarray(picture.convert("RGB")), dataformats="HWC")
