"""Every command of `ichtune`; what a command needs is imported inside it, so that --help answers at once."""

import errno
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ichtune.errors import InputError

app = typer.Typer(
    help="Hyperparameter search for intracranial hemorrhage detection on head CT.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console()


class Format(StrEnum):
    auto = "auto"
    rsna = "rsna"
    ct_ich = "ct-ich"
    images = "images"


def main() -> None:
    """Run a command; what a person gave wrong is one line and exit code 2, a failing machine one line and 1."""
    try:
        app()
    except InputError as error:
        _fail(str(error), 2)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _fail(
                f"the disk is full ({error.filename or 'while writing'}); free some space, then run this again",
                1,
            )
        _fail(str(error), 1)


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


@app.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Folder of DICOM files or images.")],
    store: Annotated[Path, typer.Argument(help="Folder to be made; the search reads it.")],
    labels: Annotated[
        Path | None, typer.Option(help="CSV with the labels (default: the one in SOURCE).")
    ] = None,
    format: Annotated[Format, typer.Option(help="Layout of SOURCE.")] = Format.auto,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels along a side of a stored slice.")] = 256,
    window: Annotated[
        str, typer.Option(metavar="C/W", help="What 8-bit images were windowed with.")
    ] = "40/80",
    test_fraction: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of the slices to test on.")
    ] = 0.2,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds over what is not in the test set.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the splits.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Reading processes (default: one a core).")
    ] = None,
    hash_ids: Annotated[
        bool, typer.Option("--hash-ids", help="Replace identifiers by salted hashes.")
    ] = False,
    max_rejected: Annotated[
        float, typer.Option(min=0, max=1, help="Share of slices that may be unusable.")
    ] = 0.05,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished store.")] = False,
) -> None:
    """Turn DICOM files or images with labels into a slice store with patient-grouped folds."""
    from ichtune.data import prepare as preparation
    from ichtune.data.describe import print_rejected, print_splits
    from ichtune.data.windows import Window
    from ichtune.progress import progress

    options = preparation.PrepareOptions(
        labels=labels,
        format=format.value,
        size=size,
        window=Window.parse(window),
        test_fraction=test_fraction,
        folds=folds,
        seed=seed,
        workers=workers,
        hash_ids=hash_ids,
        max_rejected=max_rejected,
        overwrite=overwrite,
    )
    try:
        with progress("reading", "slices", console) as report:
            made = preparation.prepare(
                source, store, options, lambda done, total, bad: report(done, total, f"{bad:,} rejected")
            )
    except preparation.TooManyRejected as error:
        print_rejected(error.rejected, console)
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again and it goes on where it was", 130)
    print_rejected(made.rejected, console)
    print_splits(made.store, console)
    for note in made.notes:
        console.print(f"[bold yellow]note:[/] {escape(note)}", soft_wrap=True)
    console.print(
        f"store: {made.store.path}  ({len(made.store):,} slices, fingerprint {made.store.fingerprint})"
    )


@app.command()
def inspect(
    store: Annotated[Path, typer.Argument(help="Folder that `ichtune prepare` made.")],
    picture: Annotated[
        Path | None, typer.Option(help="Where the picture goes (default: STORE/inspect.png).")
    ] = None,
) -> None:
    """Show a store's splits, audit it for leaks and shifts, and draw example slices."""
    from ichtune.data.audit import audit
    from ichtune.data.describe import print_audit, print_splits
    from ichtune.data.gallery import draw_examples
    from ichtune.data.store import SliceStore

    opened = SliceStore.open(store)
    print_splits(opened, console)
    print_audit(audit(opened), console)
    draw_examples(opened, picture or store / "inspect.png")
    console.print(f"picture: {picture or store / 'inspect.png'}")


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to be made, in the layout of RSNA 2019.")],
    patients: Annotated[int, typer.Option(min=1, help="How many made-up heads.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Other seed, other heads.")] = 0,
) -> None:
    """Make up head CTs with hemorrhages, so that everything can be tried without patient data."""
    from ichtune.data.phantom import write_phantoms
    from ichtune.progress import progress

    with progress("drawing", "patients", console) as report:
        made = write_phantoms(
            out, patients=patients, seed=seed, progress=lambda done: report(done, patients, "")
        )
    counts = ", ".join(f"{label} {count:,}" for label, count in made.positives.items())
    console.print(f"{out}: {made.patients:,} patients, {made.slices:,} slices, with {counts}", soft_wrap=True)
    console.print(f"next: ichtune prepare {out} STORE")


if __name__ == "__main__":
    main()
