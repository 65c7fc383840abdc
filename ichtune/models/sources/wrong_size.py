"""The error for images of a size that a network can't take."""

from ichtune.errors import InputError
from ichtune.recipe import Model


def wrong_size(model: Model, why: str, fits: int) -> InputError:
    """The error, with a size that fits; a larger one needs a store that has it."""
    larger = f", if the store's slices are at least {fits} pixels wide" if fits > model.size else ""
    return InputError(
        f"model.size: {model.backbone} can't take images of {model.size} x {model.size} ({why}); "
        f"--set model.size={fits} fits{larger}"
    )
