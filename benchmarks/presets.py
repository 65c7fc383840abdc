"""Repeats every published study in its quick form, and writes their tables, published beside ours, to one document.

    python benchmarks/presets.py STORE --second STORE2 --out FOLDER [--results docs/results.md]

Meant for CT-ICH, which anyone can have, and a second data set with a single label. Backbones are the ones whose weights
are installed, so nothing is downloaded. What was done before in FOLDER isn't done again. Prints the document's place.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from analysis.studies.plan import Reproduction
from analysis.studies.run import run, seconds
from analysis.studies.tables import tables
from analysis.tables.writers import markdown_grid, markdown_text

CHANGES = {
    # As many steps an epoch as its learning rate needs on a store of this size.
    "seven-parts": {"model.backbone": "efficientnet_lite0", "training.batch_size": 8},
    "efficientnet": {"model.backbone": "efficientnet_lite0"},
    "small-cnn": {},
    "half-resolution": {},
    "winners": {"model.backbone": "efficientnet_lite0"},
}
"""What each study is given with `--set`, in the order of the document."""


def section(planned: Reproduction) -> Iterator[str]:
    """Yield the paragraphs of a study: what differs from it, its tables, and what isn't reproduced."""
    made, study = tables(planned), planned.study
    population = dict.fromkeys(
        note for table in made for note in table.notes if note.startswith(("train:", "prevalence"))
    )
    yield f"## {study.title}\n"
    minutes = sum(seconds(planned).values()) / 60
    yield f"`ichtune reproduce {planned.name} --quick`, {minutes:.0f} minutes. {study.source}\n"
    yield "Other than in the study:\n"
    yield "\n".join(f"- {markdown_text(line)}" for line in planned.differences) + "\n"
    yield "Data: " + "; ".join(population) + ".\n"
    for table in made:
        yield f"**{markdown_text(table.caption)}**\n"
        yield markdown_grid(table.human) + "\n"
        own = [note for note in table.notes if note not in population]
        yield "\n".join(f"- {markdown_text(note)}" for note in own) + "\n"
    if study.open:
        yield "Not reproduced, or only in part:\n"
        yield "\n".join(f"- {markdown_text(line.replace('`', ''))}" for line in study.open) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--second", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--results", type=Path, default=Path("docs/results.md"))
    arguments = parser.parse_args()
    document = [
        "# What the studies find on CT-ICH\n",
        "Each study of [studies.md](studies.md) in its quick form on the slices of CT-ICH, as `python "
        "benchmarks/presets.py` writes it: the published figures beside those found here. They belong to other data "
        "with other prevalences, at other sizes; with so few patients little can be told apart, as the intervals "
        "show.\n",
    ]
    for name, changes in CHANGES.items():
        second = arguments.second if name == "small-cnn" else None
        planned = Reproduction.plan(
            name, arguments.store, second, arguments.out / name, quick=True, changes=changes
        )
        run(planned)
        document += section(planned)
    arguments.results.write_text("\n".join(document))
    print(arguments.results)


if __name__ == "__main__":
    main()
