"""Safe reading of `torch.save` files: tensors and plain data only, no code run, nothing decompressed."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

_DAMAGED = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, EOFError, RuntimeError, ValueError),
    *(KeyError, IndexError, TypeError, AttributeError),
)


def load_torch(file: Path) -> Any:
    """Return the content of a `torch.save` file, with tensors on the CPU.

    Raises:
        ValueError: it isn't such a file, is damaged or compressed (which `torch.save` never does), or holds more
            than tensors and plain data.
        OSError: it can't be read.
    """
    try:
        if zipfile.is_zipfile(file):
            _refuse_compressed(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        # Of torch's messages, the beginning says what is wrong; the rest is advice to run what the file asks for.
        first = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise ValueError(first.partition(". In PyTorch")[0]) from None


def _refuse_compressed(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("its entries are compressed, which torch.save never does")
    if (declared := sum(entry.file_size for entry in entries)) > file.stat().st_size:
        raise ValueError(f"its entries declare {declared:,} bytes, more than the file has")
