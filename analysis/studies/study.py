"""A published study: what it found, what doesn't hold up in it, and the commands that repeat it."""

from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from ichtune.errors import InputError
from ichtune.wording import not_one_of
from ichtune.yaml_text import read_yaml

_FOLDER: Final = Path(__file__).parent / "published"
STUDIES: Final = tuple(sorted(file.stem for file in _FOLDER.glob("*.yaml")))
"""The names of the studies."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Part):
    """A call of one of the commands. `{data}`, `{second}`, `{out}` and `{runs}` are the places of a reproduction, and
    `{data:name}` the name of one."""

    name: str
    """Of a search, that of its run too."""
    does: str
    command: str
    given: tuple[str, ...] = ()
    """What stands before the options."""
    options: dict[str, Any] = {}
    """By flag without dashes; true is a flag alone, and `set` is a mapping."""
    quick: dict[str, Any] = {}
    """Options that replace these in a quick reproduction."""
    makes: str = ""
    """What is there once the step is finished, if the command refuses to make it again."""


class Row(_Part):
    """A row of a published table, and where its counterpart is found."""

    name: str
    where: dict[str, str] = {}
    """What the counterpart's row has in these columns, as patterns."""
    published: tuple[float | str | None, ...] = ()
    file: str = ""
    """Another file than the table's."""
    values: tuple[str, ...] = ()
    """Other columns than the table's."""


class Published(_Part):
    """A table in the layout of the original, whose counterparts are in a table that a step wrote."""

    name: str
    caption: str
    columns: tuple[str, ...]
    file: str
    """The table's JSON below the folder of the reproduction, or a submission, which is scored."""
    values: tuple[str, ...]
    """The column of each of `columns` in the file."""
    rows: tuple[Row, ...] = ()
    """None if nothing is published in numbers: all rows of the file are shown."""
    keys: tuple[str, ...] = ()
    """The columns that name a row of the file, if all of them are shown."""
    notes: tuple[str, ...] = ()


class Flaw(_Part):
    """What is known to be wrong with a study, and how that is handled here."""

    flaw: str
    here: str


class Study(_Part):
    """A study as data."""

    title: str
    source: str
    data: str
    """What its own figures are from."""
    needs_second: bool = False
    """Whether it takes a second store."""
    challenge: bool = False
    """Whether it is scored by the form of the RSNA 2019 challenge."""
    quick: str
    """What is smaller in a quick reproduction."""
    flaws: tuple[Flaw, ...]
    steps: tuple[Step, ...]
    tables: tuple[Published, ...]
    pictures: tuple[str, ...] = ()
    """PNG files below the folder of the reproduction."""
    open: tuple[str, ...] = ()
    """What isn't reproduced, and why."""

    @classmethod
    def load(cls, name: str) -> "Study":
        """Return a study by its name.

        Raises:
            InputError: there is none of that name.
        """
        if name not in STUDIES:
            raise InputError(not_one_of(name, STUDIES))
        return cls.model_validate(read_yaml(_FOLDER / f"{name}.yaml"))
