"""The command that exports a model."""

from pathlib import Path
from typing import Annotated

import typer

from ichtune.commands.terminal import say
from ichtune.intended_use import RESEARCH_ONLY


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Folder of a model, or its URI.", show_default=False)
    ],
    to: Annotated[str, typer.Option(help="onnx, torchscript or monai-bundle.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="File or folder to write (default: in the model's folder).")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Slice store (or its URI) to compare on with the original (default: made-up slices)."
        ),
    ] = None,
) -> None:
    """Export a model, from Hounsfield units to probabilities, and check it against the original."""
    from ichtune.inference.export.export import export as export_model
    from ichtune.inference.export.verify import TOLERANCE

    made = export_model(model, to, out, data)
    if made.refused:
        say(
            f"a file with norms folded into convolutions differs by {max(made.refused):.1e}, more than {TOLERANCE:g}; "
            "they are kept apart, which is slower"
        )
    say(f"on {made.compared_on}, it differs from the model by at most {made.deviation:.1e}")
    say(f"exported: {made.path}")
    say(RESEARCH_ONLY)
