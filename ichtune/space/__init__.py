"""Search spaces: what can vary in a recipe, from YAML or Python, for Optuna and Ray."""

from ichtune.space.distributions import Choice, Range, SpaceError
from ichtune.space.presets import presets
from ichtune.space.recipes import RECIPE
from ichtune.space.space import ModelVariant, Space
from ichtune.space.walks import Dimension

__all__ = ["RECIPE", "Choice", "Dimension", "ModelVariant", "Range", "Space", "SpaceError", "presets"]
