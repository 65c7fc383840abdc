"""The command that shows why a model decides as it does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ichtune.commands.terminal import console, note, say

if TYPE_CHECKING:
    from analysis.explaining.choose import Part


def explain(
    model: Annotated[
        str, typer.Argument(help="Folder of a model, e.g. runs/NAME/retrain/rank1-fold0, or its URI.")
    ],
    data: Annotated[str, typer.Option(help="Store with the slices to explain, or its URI.")],
    label: Annotated[str, typer.Option(help="The label whose evidence is shown.")] = "any",
    right: Annotated[int, typer.Option(min=0, help="The most slices recognised as positive.")] = 5,
    wrong: Annotated[int, typer.Option(min=0, help="The most false alarms, and the most missed slices.")] = 5,
    method: Annotated[
        Literal["hirescam", "gradcam"], typer.Option(help="How activation maps are computed.")
    ] = "hirescam",
    layer: Annotated[
        str | None,
        typer.Option(help="Layer of the backbone (default: the last one with a grid of positions)."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of blood masks, as `ichtune phantom --masks` writes them.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to (default: MODEL/explain).")] = None,
) -> None:
    """Show where a model finds its evidence: activation maps of right and wrong slices, as pictures and a table."""
    from analysis.explaining.explained import ExplainOptions, explain
    from analysis.explaining.write import write_explained
    from ichtune.inference.model_place import ModelPlace
    from ichtune.progress import progress

    options = ExplainOptions(label, right, wrong, method, layer, masks)
    place = ModelPlace.of(model)
    folder = out or place.results("explain")

    def begin(part: "Part") -> None:
        folder.mkdir(
            parents=True, exist_ok=True
        )  # a folder that can't be written to fails before the long part
        say(f"slices: {len(part.rows):,} ({part.words})")

    with progress("explaining", "slices", console) as report:
        explained = explain(place, data, options, begin, report)
        files = write_explained(explained, folder)
    counts = explained.table["outcome"].value_counts()
    say(
        ", ".join(f"{name} {counts.get(name, 0)}" for name in ("right", "false alarm", "missed"))
        + f"; layer {', '.join(dict.fromkeys(explained.layers))}"
    )
    if explained.mean_outside == explained.mean_outside:
        say(f"heat outside the head: {explained.mean_outside:.1%} on average over the slices shown")
    else:
        note("no slice shown has heat: nothing at this layer speaks for the label")
    if masks:
        say(
            f"heat on the blood: {explained.mean_on_blood:.1%} on average over the slices shown that have a mask"
        )
    say(f"pictures: {files[0]}")
