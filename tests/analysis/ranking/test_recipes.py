"""The words for the settings of a recipe."""

import pytest

from analysis.ranking.recipes import setting_text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("optimizer.adam.lr", 0.00312, "lr 0.00312"),
        ("optimizer", "adam", "adam"),
        ("training.patience", None, "no patience"),
        ("phases.2.optimizer.lr", 0.001, "phase 2 lr 0.001"),
        ("phases.last then all 4.1.optimizer.adam.weight_decay", 0.5, "phase 1 weight_decay 0.5"),
        ("phases.1.schedule", "onecycle", "phase 1 onecycle"),
        ("phases", None, "no phases"),
    ],
)
def test_a_parameter_is_told_by_its_last_key_and_its_phase(name, value, text):
    assert setting_text(name, value) == text
