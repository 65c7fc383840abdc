"""The house as drawn: which module may import which, and where a thing is to be found."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (
    ("launch",),
    ("ichtune.cli", "ichtune.api"),
    ("ichtune.commands",),
    ("analysis.report",),
    ("analysis.findings", "analysis.screen"),
    ("analysis.results", "analysis.retraining", "analysis.evaluation", "analysis.studies"),
    ("analysis.promotion", "analysis.model_card", "analysis.explaining"),
    ("analysis.tables",),
    ("analysis.hyperparameters", "analysis.pictures", "analysis.test_set"),
    ("analysis.scoring", "analysis.calibration"),
    ("analysis.ranking",),
    ("analysis.statistics",),
    ("ichtune.search",),
    ("ichtune.tracking",),
    ("ichtune.cluster",),
    ("ichtune.viewer",),
    ("ichtune.prediction",),
    ("ichtune.inference",),
    ("ichtune.training",),
    ("ichtune.bank",),
    ("ichtune.runs",),
    ("ichtune.models", "ichtune.inputs"),
    ("ichtune.space",),
    ("ichtune.recipe",),
    ("ichtune.data",),
    ("ichtune",),
)
"""The house from the roof to the ground: a room imports from floors below its own alone. See docs/architecture.md."""
# What is asked for is an option of a command, which must know it before anything slow is imported.
LIGHT = {
    "analysis",
    "analysis.evaluation",
    "analysis.evaluation.options",
    "analysis.retraining",
    "analysis.retraining.finetune_options",
    "analysis.retraining.options",
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def files_of(*folders: str) -> dict[str, Path]:
    """Every module below these folders, by its dotted name."""
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {name_of(path): path for path in files}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


OURS = files_of("ichtune", "analysis")
ALL = OURS | files_of("benchmarks") | {"launch": ROOT / "launch.py"}


def nodes(tree: ast.AST, *, inside_functions: bool) -> Iterator[ast.AST]:
    """The parts of a module that run; what is under `if TYPE_CHECKING` does not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        if inside_functions or not isinstance(node, FUNCTIONS):
            yield from nodes(node, inside_functions=inside_functions)


def imports(path: Path, *, inside_functions: bool) -> Iterator[str]:
    """The modules that a file imports, by their dotted names."""
    for node in nodes(ast.parse(path.read_text()), inside_functions=inside_functions):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path}: a relative import"
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                part = f"{node.module}.{alias.name}"
                yield part if part in OURS else node.module


def importers(package: str, *, inside_functions: bool = True) -> set[str]:
    """Our modules that import a package or a part of it."""
    return {
        name
        for name, path in ALL.items()
        for module in imports(path, inside_functions=inside_functions)
        if module == package or module.startswith(f"{package}.")
    }


def test_imports_run_downhill():
    graph = {
        name: {
            module for module in imports(path, inside_functions=False) if module in OURS and module != name
        }
        for name, path in OURS.items()
    }
    assert sum(map(len, graph.values())) > len(OURS)  # else nothing was looked at
    TopologicalSorter(graph).prepare()  # a CycleError names the modules of a circle


def floor_of(name: str) -> tuple[int, str]:
    """A module's floor, counted from the roof, and its room: the one of the longest name."""
    rooms = [(floor, room) for floor, rooms in enumerate(FLOORS) for room in rooms]
    return max(
        ((floor, room) for floor, room in rooms if f"{name}.".startswith(f"{room}.")),
        key=lambda found: len(found[1]),
    )


def test_no_arrow_runs_up():
    for name, path in (OURS | {"launch": ROOT / "launch.py"}).items():
        own_floor, own_room = floor_of(name) if name not in ("ichtune", "analysis") else (-1, name)
        for module in imports(path, inside_functions=True):
            if module in OURS and module not in ("ichtune", "analysis"):
                floor, room = floor_of(module)
                assert floor > own_floor or room == own_room, f"{name} imports {module}"


def loaded_by(name: str) -> set[str]:
    """Every module, ours or not, that importing one of ours imports, those inside functions counted too."""
    seen, waiting, found = set(), [name], set()
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            own = set(imports(OURS[module], inside_functions=True))
            found |= own
            waiting += own & OURS.keys()
    return found


def test_ray_is_imported_where_searches_run_alone():
    strangers = {
        name
        for name in importers("ray")
        if not name.startswith(("ichtune.search.", "ichtune.cluster", "benchmarks."))
    }
    assert not strangers


@pytest.mark.parametrize("command", ["ranking", "data", "viewing"])
def test_commands_that_search_nothing_never_import_ray(command):
    assert not {
        module for module in loaded_by(f"ichtune.commands.{command}") if module.partition(".")[0] == "ray"
    }


def test_the_analysis_is_known_to_commands_and_the_python_api_alone():
    knowing = {name for name in importers("analysis") if name.startswith("ichtune")}
    assert {name for name in knowing if not name.startswith("ichtune.commands.")} <= {"ichtune.api"}
    at_start = {
        module
        for name in knowing
        for module in imports(OURS[name], inside_functions=False)
        if module.startswith("analysis")
    }
    assert at_start <= LIGHT


def test_few_modules_know_the_statistics_of_a_ranking():
    knowing = importers("analysis.statistics.significance") & OURS.keys()
    assert knowing == {
        "analysis.model_card.tables",
        "analysis.evaluation.scores",
        "analysis.ranking.certainty",
        "analysis.ranking.frozen_and_tuned",
        "analysis.retraining.compared",
        "analysis.scoring.paired",
        "analysis.ranking.pooled",
        "analysis.ranking.seed_noise",
        "analysis.results",
        "analysis.statistics.agreement",
        "analysis.statistics.anew",
        "analysis.statistics.comparisons",
        "analysis.statistics.paired",
        "analysis.statistics.selection",
        "analysis.tables.ablation",
        "analysis.tables.by_label",
    }


def test_albumentations_is_imported_where_transforms_are_built_alone():
    assert importers("albumentations") & OURS.keys() == {
        "ichtune.inputs.augment",
        "ichtune.recipe.transforms",
    }


def test_the_command_line_starts_without_what_is_slow_to_import():
    slow = {"torch", "torchvision", "monai", "ray", "optuna", "sklearn", "pandas", "albumentations"}
    seen, waiting = set(), ["ichtune.cli"]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        loaded = set(imports(OURS[name], inside_functions=False))
        assert not slow & {module.partition(".")[0] for module in loaded}, name
        waiting += (loaded & OURS.keys()) - seen


@pytest.mark.parametrize("heap", ["utils", "common", "helpers", "base"])
def test_no_file_is_a_heap(heap):
    assert not [name for name in ALL if name.rpartition(".")[2].strip("_") in (heap, heap.rstrip("s"))]


@pytest.mark.parametrize(
    "path",
    ["launch.py", "cluster.yaml", "README.md", "docs/cluster.md", "docs/architecture.md", "CHANGELOG.md"],
)
def test_what_a_person_looks_for_first_is_at_the_top(path):
    assert (ROOT / path).stat().st_size


def test_the_presets_are_at_the_top():
    assert {path.stem for path in (ROOT / "search_spaces").glob("*.yaml")} >= {"quick", "default", "full"}
