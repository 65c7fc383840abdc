"""Models of random weights, written once."""

from pathlib import Path

import pytest

from ichtune.recipe.heads import GRU
from tests.made_up.models import CNN5, write_model_folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that sees slices one by one, at 32 x 32."""
    return write_model_folder(tmp_path_factory.mktemp("of-slices") / "model", CNN5)


@pytest.fixture(scope="session")
def scan_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with neighbours, whose head reads whole scans."""
    recipe = CNN5.model_copy(
        update={
            "model": CNN5.model.model_copy(update={"neighbours": 1}),
            "head": GRU(hidden=4, differences=True),
        }
    )
    return write_model_folder(tmp_path_factory.mktemp("of-scans") / "model", recipe)
