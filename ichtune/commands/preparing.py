"""The command that makes slice stores: prepare."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichtune.commands.arguments import given, takes
from ichtune.commands.terminal import NOTHING_USABLE, console, end_interrupted, fail, note, say
from ichtune.data.options import PrepareOptions
from ichtune.errors import InputError

if TYPE_CHECKING:
    from ichtune.data.reading import ChunkReading


@takes(PrepareOptions)
def prepare(
    context: typer.Context,
    sources: Annotated[list[Path], typer.Argument(help="Folders of DICOM files, volumes or images.")],
    store: Annotated[Path, typer.Argument(help="Folder to create; the search reads it.")],
    settings: PrepareOptions,
) -> None:
    """Turn DICOM files or images with labels into a slice store with patient-grouped folds."""
    from ichtune.data import prepare as preparation
    from ichtune.data.inspect.describe import print_rejected, print_scans, print_splits
    from ichtune.progress import progress

    _refuse_idle_options(settings, given(context))
    try:
        with _reading(settings.address) as read, progress("reading", "slices", console) as report:
            made = preparation.prepare(
                sources,
                store,
                settings,
                lambda done, total, bad: report(done, total, f"{bad:,} rejected"),
                read,
            )
    except preparation.TooManyRejected as error:
        print_rejected(error.rejected, console)
        fail(str(error), NOTHING_USABLE)
    except preparation.NotPrepared as error:
        print_rejected(error.rejected, console)
        raise
    except KeyboardInterrupt:
        end_interrupted()
    print_rejected(made.rejected, console)
    print_splits(made.store, console)
    print_scans(made.store, console)
    for remark in made.notes:
        note(remark)
    say(f"store: {made.store.path}  ({len(made.store):,} slices, fingerprint {made.store.fingerprint})")


@contextmanager
def _reading(address: str | None) -> "Generator[ChunkReading | None]":
    """Yield what reads on the cluster at an address; None without one, for processes of this machine."""
    if address is None:
        yield None
        return
    from ichtune.cluster.connection import connected
    from ichtune.cluster.reading_tasks import read_on

    with connected(address) as capacity:
        yield read_on(capacity)


def _refuse_idle_options(settings: PrepareOptions, given: set[str]) -> None:
    """Refuse options that another one leaves without effect."""
    splits = ("test_fraction", "folds", "keep_split")
    idle = splits if settings.all_test else splits[:1] if settings.keep_split else ()
    if named := [f"--{name.replace('_', '-')}" for name in idle if name in given]:
        why = (
            "--all-test makes a store without folds"
            if settings.all_test
            else "--keep-split draws no test set"
        )
        raise InputError(f"{why}, so omit {' and '.join(named)}")
    if settings.address is not None and "workers" in given:
        raise InputError("--address reads on all cores of the cluster, so omit --workers")
