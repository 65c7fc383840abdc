"""Opening the viewer in a browser without its token in a command line, which every user of the machine can read."""

import webbrowser
from pathlib import Path


def open_in_browser(url: str, folder: Path) -> bool:
    """Open the viewer's page by a file in `folder`, readable by its owner alone; whether a browser was found."""
    page = folder / "view.html"
    page.touch(mode=0o600)
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={url}">'
        f'<title>ichtune</title><a href="{url}">Open the viewer</a>\n'
    )
    return webbrowser.open(page.as_uri())
