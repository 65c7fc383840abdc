"""torchvision, imported without torch's compiler.

Importing torchvision imports the whole compiler, which takes as long as importing torch itself. Only its region
operators need it, when they are called, and no classification network has any.
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Final

_ASKED: Final = "torch._dynamo.utils"


def _is_compile_supported(device: str) -> bool:
    """Return torch's own answer, importing the compiler only when asked."""
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device)


@contextmanager
def _compiler_put_off() -> Generator[None]:
    if _ASKED in sys.modules:
        yield
        return
    stand_in = ModuleType(_ASKED)
    stand_in.is_compile_supported = _is_compile_supported  # ty: ignore[missing-attribute]
    sys.modules[_ASKED] = stand_in
    try:
        yield
    finally:
        del sys.modules[_ASKED]


with _compiler_put_off():
    import torchvision

__all__ = ["torchvision"]
