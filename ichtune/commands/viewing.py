"""The command that shows a study and what a model makes of it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from ichtune.commands.terminal import console, note, say


def view(
    model: Annotated[
        str, typer.Argument(help="Folder of a model, e.g. runs/NAME/retrain/rank1-all, or its URI.")
    ],
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of DICOM files to open (default: drop them into the page).")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on the loopback address; 0 takes a free one.")
    ] = 0,
    max_upload: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Most memory that a study's files or slices may take.")
    ] = 1024,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Show DICOM studies with a model's probabilities, decisions and activation maps, on a local page."""
    from ichtune.inference.model_place import ModelPlace
    from ichtune.inference.trained_model import TrainedModel
    from ichtune.progress import progress
    from ichtune.viewer.browser import open_in_browser
    from ichtune.viewer.folder import read_folder
    from ichtune.viewer.server import ViewerServer
    from ichtune.viewer.session import Session
    from ichtune.viewer.study import MIB

    place = ModelPlace.of(model)
    session = Session(TrainedModel.open(place.folder), max_upload * MIB)
    with (
        ViewerServer(session, place.name, port) as server,
        TemporaryDirectory(prefix="ichtune-view-") as private,
    ):
        if folder is not None:
            with progress("reading", "files", console) as report:
                session.show(read_folder(folder, session.most, report))
        say(f"page: {server.url}  (for this machine alone; Ctrl-C ends it)")
        if browser and not open_in_browser(server.url, Path(private)):
            note("no browser found to open it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("")
