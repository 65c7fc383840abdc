"""Writes a model card from what a run knows, by the items of TRIPOD+AI that it can answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jinja2
import numpy as np
import pandas as pd

from analysis.calibration.scores import Judged
from analysis.model_card import tables
from analysis.model_card.open_items import OPEN
from analysis.model_card.words import exclusions, limits, searched, snippet
from analysis.ranking.order import Ranking
from analysis.statistics.cohort import Cohort
from analysis.tables.store_facts import store_facts
from analysis.tables.writers import markdown_grid, markdown_text
from ichtune.files import replacing
from ichtune.inference.about import About
from ichtune.yaml_text import write_yaml

CARD: Final = "MODEL.md"


@dataclass(frozen=True)
class Training:
    """How a model's training went."""

    epochs: str
    """How many, or from how many to how many."""
    ended: str
    best: str
    """The epochs that the weights are from."""
    metric: str
    """The metric that chose the best epoch."""
    trained_parameters: int
    parameters: int
    searched: bool = False
    """Whether it is the search's own training, whose best epoch is that of all its folds."""


@dataclass(frozen=True)
class Card:
    """Everything that a model card says."""

    folder: Path
    """The model's folder, as it will be named."""
    about: About
    training: Training
    ranking: Ranking
    cohort: Cohort
    rows: Mapping[str, np.ndarray]
    """The store's rows that the model was trained and scored on, by the name of the part."""
    parts: list[Judged]
    errors: pd.DataFrame
    """See `calibration_errors`."""
    decisions: pd.DataFrame
    """See `decisions`."""
    notes: list[str]

    def write(self, folder: Path) -> None:
        """Write `MODEL.md` to a folder."""
        with replacing(folder / CARD) as file:
            file.write_text(self.text, encoding="utf-8")

    @property
    def text(self) -> str:
        """The card in Markdown."""
        store = self.cohort.store
        return _template().render(
            name=self.folder.name,
            about=self.about,
            recipe=self.about.recipe,
            recipe_yaml=write_yaml(self.about.recipe.model_dump(mode="json")).strip(),
            origin=self.about.origin,
            training=self.training,
            store=store,
            facts=store_facts(store),
            population=tables.population(store, self.rows),
            exclusions=exclusions(store),
            searched=searched(self.ranking, self.cohort.truth, self.about.origin.rank),
            overall=tables.overall(self.parts),
            by_label=tables.by_label(self.parts),
            calibration=tables.calibration(self.errors),
            thresholds=tables.thresholds(self.decisions),
            snippet=snippet(self.about, self.folder),
            limits=limits(store, self.rows),
            notes=self.notes,
            open_items=OPEN,
        )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, in which every text goes through `md`
    )
    environment.filters |= {"md": markdown_text, "grid": markdown_grid}
    return environment.get_template("MODEL.md.j2")
