"""The notebook runs from top to bottom on a finished search."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "ranking.ipynb"


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter's own event loop
def test_every_cell_runs_and_shows_the_ranking(made_up, monkeypatch):
    monkeypatch.setenv("ICHTUNE_RUN", str(made_up[1].path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=100, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    texts = [str(cell.get("outputs", "")) for cell in notebook.cells]
    assert "0001-focal" in texts[1]
    assert "corrected 0." in texts[3]
    assert "image/png" in texts[-1]
