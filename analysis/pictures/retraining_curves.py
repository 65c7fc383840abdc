"""Loss and accuracy of retrained models by epoch, laid over one another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.pictures.style import LINES, WIDTH, paper

Records = Sequence[Mapping[str, Any]]
"""The epochs of a training, as `EpochRecord.of_fold` gives them."""


@paper()
def retraining_curves(models: Mapping[str, Sequence[Records]]) -> Figure:
    """The mean over each model's trainings, by epoch: loss in training (thin) and validation, and subset accuracy.

    An epoch counts as far as all trainings of a model have it.
    """
    figure = Figure(figsize=(WIDTH, 3.4))
    loss, accuracy = figure.subplots(1, 2)
    for (name, trainings), place in zip(models.items(), range(len(models)), strict=True):
        colour, dashes = LINES[place % len(LINES)]
        look = {"color": colour, "linestyle": dashes}
        _draw(
            loss,
            [[epoch["train_loss"] for epoch in each] for each in trainings],
            look | {"lw": 0.7, "mfc": "white"},
        )
        for axes, metric in ((loss, "loss"), (accuracy, "subset_accuracy")):
            values = [[epoch["validation"][metric] for epoch in each] for each in trainings]
            _draw(axes, values, look | {"lw": 1.6, "label": name})
    loss.set(xlabel="epoch", ylabel="loss", title="Loss: validation, and training (thin)")
    accuracy.set(xlabel="epoch", ylabel="subset accuracy", title="Accuracy: all labels right")
    longest = max(len(each) for trainings in models.values() for each in trainings)
    for axes in (loss, accuracy):
        axes.set_xlim(0.5, longest + 0.5)  # otherwise a single epoch has fractions on its axis
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = accuracy.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2, handlelength=4)
    return figure


def _draw(axes: Axes, values: Sequence[Sequence[float | None]], look: dict[str, Any]) -> None:
    epochs = min(map(len, values))
    mean = np.array([each[:epochs] for each in values], dtype=float).mean(axis=0)
    axes.plot(np.arange(1, epochs + 1), mean, marker="." if epochs == 1 else None, **look)
