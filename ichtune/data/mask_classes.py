"""The labels of the values in voxel masks, as written on the command line."""

from typing import Final

from ichtune.data.columns import label_of, plain
from ichtune.labels import LABELS

NOTHING: Final = "nothing"
EXAMPLE: Final = "1=epidural,2=intraparenchymal,3=intraventricular,4=subarachnoid,5=subdural"


def parse_mask_classes(written: str) -> dict[int, str]:
    """Return the label of each value of a mask; NOTHING for a value that is no hemorrhage. Empty text has none.

    Raises:
        ValueError: it isn't a list such as 1=epidural,2=subdural.
    """
    classes: dict[int, str] = {}
    for part in filter(None, (part.strip() for part in written.split(","))):
        value, _, name = (text.strip() for text in part.partition("="))
        label = _label(name)
        if not (value.isascii() and value.isdecimal() and 0 < int(value) < 2**31) or label is None:
            raise ValueError(
                f"must be values and labels such as {EXAMPLE}, with {', '.join(LABELS)} or {NOTHING}; got {part!r}"
            )
        if int(value) in classes:
            raise ValueError(f"has the value {value} twice")
        classes[int(value)] = label
    if set(classes.values()) == {NOTHING}:
        raise ValueError(f"must have a label other than {NOTHING}")
    return classes


def checked_mask_classes(written: str) -> str:
    """Return the text without blanks, if it can be parsed; ValueError as in `parse_mask_classes`."""
    parse_mask_classes(written)
    return "".join(written.split())


def _label(name: str) -> str | None:
    if plain(name) == NOTHING:
        return NOTHING
    column = label_of(plain(name)) if name else None
    return column.label if column and not column.negated else None
