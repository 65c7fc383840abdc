"""Commands that examine slice stores and make up heads: inspect, phantom."""

from pathlib import Path
from typing import Annotated

import typer

from ichtune.commands.terminal import NOTHING_USABLE, console, fail, note, say


def inspect(
    store: Annotated[Path, typer.Argument(help="Folder that `ichtune prepare` made.")],
    picture: Annotated[
        Path | None, typer.Option(help="Where to write the picture (default: STORE/inspect.png).")
    ] = None,
) -> None:
    """Show a store's splits, audit it for leaks and shifts, verify its pixels against their digests, draw examples."""
    from ichtune.data.inspect.audit import audit
    from ichtune.data.inspect.describe import print_audit, print_scans, print_splits
    from ichtune.data.inspect.examples import draw_examples, picture_place
    from ichtune.data.inspect.integrity import damage
    from ichtune.data.store import SliceStore
    from ichtune.progress import progress

    opened = SliceStore.open(store)
    print_splits(opened, console)
    print_scans(opened, console)
    print_audit(audit(opened), console)
    with progress("comparing", "slices", console) as report:
        damaged = damage(opened, report)
    if damaged:
        fail(damaged, NOTHING_USABLE)
    place = picture or picture_place(store)
    draw_examples(opened, place)
    if picture is None and place.parent != store:
        note(f"{store} can't be written to")
    say(f"picture: {place}")


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to create, in the layout of RSNA 2019.")],
    patients: Annotated[int, typer.Option(min=1, help="Number of synthetic heads.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    vessels: Annotated[
        bool,
        typer.Option("--vessels", help="Blood that only neighbouring slices tell from a vessel."),
    ] = False,
    masks: Annotated[
        bool, typer.Option("--masks", help="Also write where the blood is, to OUT/masks, for explain.")
    ] = False,
) -> None:
    """Generate synthetic head CTs with hemorrhages, so that everything can be tried without patient data."""
    from ichtune.data.phantom.write import write_phantoms
    from ichtune.progress import progress

    with progress("drawing", "patients", console) as report:
        made = write_phantoms(
            out,
            patients=patients,
            seed=seed,
            vessels=vessels,
            masks=masks,
            progress=lambda done: report(done, patients, ""),
        )
    counts = ", ".join(f"{label} {count:,}" for label, count in made.positives.items())
    say(f"{out}: {made.patients:,} patients, {made.slices:,} slices, with {counts}")
    say(f"next: ichtune prepare {out} STORE")
