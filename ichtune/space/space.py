"""A search space: a recipe in which any value can vary, and the recipes to try first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from ichtune.metric_names import METRICS
from ichtune.recipe import Head, Level, Model, Recipe
from ichtune.recipe.refusals import variants
from ichtune.space import finetuning, phases, recipes, walks
from ichtune.space.changes import changes_in, drop_key, set_key
from ichtune.space.distributions import Choice, Range, SpaceError, as_data, problems_at
from ichtune.space.grammar import collect
from ichtune.space.places import SECTIONS
from ichtune.space.points import point_params
from ichtune.space.presets import locate
from ichtune.space.recipes import HEADER, RECIPE, Sections, Trees, parse_recipes
from ichtune.space.walks import Dimension, Params
from ichtune.wording import not_one_of, shown, unknown_key
from ichtune.yaml_text import YamlError, read_yaml, write_yaml

if TYPE_CHECKING:
    from optuna import Trial
    from rich.tree import Tree

KEYS = (*HEADER, *SECTIONS, "points", "recipes")
BACKBONE_KEYS = ("backbone", "weights", "windows", "neighbours", "size", "train", "widths")
MOST_SIZES = 64
"""The most values of a range for which features are computed for each value."""


class ModelVariant(NamedTuple):
    """Everything that determines a backbone's output for an image."""

    model: Model
    """With dropout 0: dropout belongs to the head."""
    precision: Literal["auto", "bfloat16", "float32"]


@dataclass(frozen=True)
class Space:
    """What a search varies, which metric it optimizes (`metric`), and what it tries first (`points`).

    Most spaces are one recipe in which any value can vary (`sections`). A space of several `recipes` has such sections
    for each, and the parameter `recipe` chooses among them; parameters of the same name are the same for all.

    It can be compared, pickled, and written as YAML that loads back as an equal space.
    """

    name: str
    description: str
    metric: str
    trees: Trees
    """Each recipe's sections, with distributions for whatever varies; a single recipe has no name."""
    written_points: dict[str, Any] | None
    """The points as changes to the space's defaults; None if the space has none."""

    @classmethod
    def load(cls, name_or_path: str | Path) -> "Space":
        """Load the space of a preset (`quick`) or of a YAML file.

        Raises:
            SpaceError: there is no such preset or file, or it isn't a YAML space; a line for every problem.
        """
        path = locate(name_or_path)
        try:
            data = read_yaml(path)
        except YamlError as error:
            raise SpaceError(str(error)) from None
        return cls.parse({"name": path.stem, **data}, str(path))

    @classmethod
    def written(cls, name_or_path: str | Path) -> dict[str, object]:
        """Return only what a loadable space's file says of its recipe, as changes by key for `changed`."""
        return changes_in(read_yaml(locate(name_or_path)))

    @classmethod
    def parse(cls, data: Mapping[str, object], where: str) -> "Space":
        """Parse plain data in the grammar of the YAML files; `where` names it in messages.

        Raises:
            SpaceError: a line for every problem, with place, rule, value and fix.
        """
        if not isinstance(data, Mapping):
            raise SpaceError(f"{where}: must be a mapping of keys to values, got {shown(data)}")
        with problems_at(where):
            parts = {
                "keys": lambda: _refuse_unknown_keys(data),
                "name": lambda: _text(data, "name", "space"),
                "description": lambda: _text(data, "description", ""),
                "metric": lambda: _known_metric(data.get("metric", "auc")),
                "trees": lambda: parse_recipes(data),
                "written_points": lambda: _written_points(data.get("points")),
            }
            parsed = collect(parts)
            del parsed["keys"]
            return cls(**parsed)._with_sound_points()

    def changed(self, changes: Mapping[str, object]) -> "Space":
        """Return the space with new values or distributions at keys such as `training.epochs`, `loss`, `metric`.

        A key inside a choice of branches is set in every branch that has it, and overrides the points' values.

        Raises:
            SpaceError: a key is unknown, or a value is refused there.
        """
        space = self
        with problems_at(self.name):
            for key, raw in changes.items():
                space = space._with(key, raw)
            return space._with_sound_points()

    def _with(self, key: str, raw: object) -> "Space":
        if key == "metric":
            return replace(self, metric=_known_metric(raw))
        points = self.written_points and drop_key(self.written_points, key, raw)
        trees = {name: set_key(tree, key, raw) for name, tree in self.trees.items()}
        return replace(self, trees=trees, written_points=points)

    def beginning_at(self, recipes: Mapping[str, Recipe]) -> "Space":
        """Return the space in which each recipe is tried first with these settings, where the space has them."""
        plain = {name: recipe.model_dump() for name, recipe in recipes.items()}
        trees = {
            name: {section: walks.beginning_at(node, plain[name][section]) for section, node in tree.items()}
            for name, tree in self.trees.items()
        }
        return replace(self, trees=trees)

    def _with_sound_points(self) -> "Space":
        for tree in self.trees.values():
            phases.refuse_unused(tree)
            finetuning.refuse_without_effect(tree)
        _ = self.points, self.dimensions
        return self

    @property
    def recipes(self) -> list[str]:
        """The names of its recipes; none if it is a single one."""
        return [name for name in self.trees if name]

    @property
    def sections(self) -> Sections:
        """The sections of its only recipe, with distributions for whatever varies."""
        [sections] = self.trees.values()
        return sections

    def _point(self, name: str, changes: object) -> Params:
        with problems_at(f"points.{name}"):
            return point_params(self.sections, changes)

    @property
    def direction(self) -> Literal["max", "min"]:
        return METRICS[self.metric].direction

    @cached_property
    def points(self) -> dict[str, Params]:
        """What to try first: Optuna's parameters of each named point, or the space's defaults if there are none."""
        if self.recipes:
            return {
                name: {RECIPE: name} | walks.default_params(tree, "") for name, tree in self.trees.items()
            }
        if self.written_points is None:
            return {"default": walks.default_params(self.sections, "")}
        return collect(
            {name: partial(self._point, name, changes) for name, changes in self.written_points.items()}
        )

    @cached_property
    def dimensions(self) -> list[Dimension]:
        """Return every searched parameter, in the recipe's order.

        Raises:
            SpaceError: recipes have different distributions for the same parameter.
        """
        return list(recipes.dimensions(self.trees))

    def suggest(self, trial: "Trial") -> Params:
        """Return the parameters of Optuna's next proposal, define-by-run: only those of the chosen branches."""
        params: Params = {}

        def pick(name: str, distribution: Range | Choice) -> Any:
            params[name] = distribution.suggest(trial, name)
            return params[name]

        recipes.resolve(self.trees, pick)
        return params

    def recipe(self, params: Mapping[str, Any], seed: int | None = None) -> Recipe:
        """Return the recipe of Optuna's parameters; a `seed` replaces the space's.

        Raises:
            SpaceError: a parameter is missing, is unknown to this space, or names no option.
            RecipeError: the recipe types refuse a value.
        """
        used: dict[str, None] = {}

        def pick(name: str, distribution: Range | Choice) -> Any:
            if name not in params:
                raise SpaceError(f"parameter {name!r} is missing; got {', '.join(params)}")
            used[name] = None
            return params[name]

        with problems_at(self.name):
            data = recipes.resolve(self.trees, pick)
        if unused := params.keys() - used.keys():
            raise SpaceError(
                f"{self.name}: {min(unused)!r} is not a parameter here; the parameters are {', '.join(used)}"
            )
        if seed is not None:
            data["training"]["seed"] = seed
        return Recipe.parse(data, self.name)

    def count(self) -> int | None:
        """Return the number of combinations; None if a range is continuous."""
        return recipes.count(self.trees)

    def grid(self) -> Iterator[Params]:
        """Yield the parameters of every combination, each with only those of its own branches.

        Raises:
            SpaceError: a range is continuous.
        """
        with problems_at(self.name):
            yield from recipes.grid(self.trees)

    def models(self) -> list[ModelVariant]:
        """Return every backbone that a trial may use, each once, as far as its outputs differ.

        Raises:
            SpaceError: a range instead of a choice would make too many.
        """
        return list(dict.fromkeys(variant for tree in self.trees.values() for variant in self._models(tree)))

    def _models(self, tree: Sections) -> list[ModelVariant]:
        model = walks.only(tree["model"], BACKBONE_KEYS)
        training = walks.only(tree["training"], ("precision",))
        for dimension in (*walks.dimensions(model, "model"), *walks.dimensions(training, "training")):
            values = dimension.distribution
            if isinstance(values, Range) and (values.count is None or values.count > MOST_SIZES):
                raise SpaceError(
                    f"{self.name}: {dimension.name}: the backbone's outputs are computed before the search, once for "
                    f"each value; use a choice of a few instead of {values.kind} {values}"
                )
        return [
            ModelVariant(Model.model_validate({**each, "train": train}), precision["precision"])
            for each, precision in product(walks.reachable(model), walks.reachable(training))
            for train in phases.widest(tree, each["train"])
        ]

    def heads(self) -> list[Head]:
        """Return every kind of head that a trial may have, with its default settings."""
        kinds = variants(Recipe, "head")
        names = recipes.reachable(self.trees, "head", "name")
        return [cast("Head", kinds[head["name"]]()) for head in names]

    def extreme_heads(self) -> list[Head]:
        """Return heads with every option of their settings and both ends of every range, in pairs of settings."""
        kinds = variants(Recipe, "head")
        found = [corner for tree in self.trees.values() for corner in walks.corners(tree["head"])]
        return [cast("Head", kinds[corner["name"]].model_validate(corner)) for corner in found]

    @property
    def largest_batch(self) -> int:
        """The largest batch size of any recipe."""
        parts = (walks.only(tree["training"], ("batch_size",)) for tree in self.trees.values())
        return max(corner["batch_size"] for part in parts for corner in walks.corners(part))

    def levels(self) -> list[Level]:
        """Return every augmentation level that a trial may use."""
        return recipes.reachable(self.trees, "augmentation")

    @property
    def max_epochs(self) -> int:
        """The largest number of epochs of any recipe."""
        return max(max(phases.epochs(tree)) for tree in self.trees.values())

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that `parse` reads back as an equal space, with all omitted keys filled in."""
        header = {"name": self.name, "description": self.description, "metric": self.metric}
        trees = {
            name: {section: as_data(node) for section, node in tree.items()}
            for name, tree in self.trees.items()
        }
        points = {} if self.written_points is None else {"points": self.written_points}
        return {**header, **({"recipes": trees} if self.recipes else trees[""]), **points}

    def to_yaml(self) -> str:
        """Return YAML that `load` reads back as an equal space."""
        return write_yaml(self.as_dict())

    def tree(self) -> "Tree":
        """Return the space as a tree for the terminal."""
        from ichtune.space.tree import space_tree  # rich is only needed for display

        return space_tree(self)


def _refuse_unknown_keys(data: Mapping[str, object]) -> None:
    unknown = [unknown_key(key, "", KEYS) for key in data if key not in KEYS]
    if unknown:
        raise SpaceError("\n".join(unknown))


def _text(data: Mapping[str, object], key: str, fallback: str) -> str:
    text = data.get(key, fallback)
    if not isinstance(text, str):
        raise SpaceError(f"{key}: must be text, got {shown(text)}")
    return text


def _known_metric(metric: object) -> str:
    if not isinstance(metric, str) or metric not in METRICS:
        raise SpaceError(f"metric: {not_one_of(metric, METRICS)}")
    return metric


def _written_points(points: object) -> dict[str, Any] | None:
    """Return the points as plain data; None if there are none."""
    if points is not None and not isinstance(points, Mapping):
        raise SpaceError(f"points: must be a mapping of names to changes, got {shown(points)}")
    return None if points is None else {str(name): _plain(change) for name, change in points.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
