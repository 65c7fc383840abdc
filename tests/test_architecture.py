"""The house as drawn: which module may import which, and where a thing is to be found."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ANALYSIS = (
    ("model_folder", "statistics"),
    ("ranking",),
    ("scoring",),
    ("hyperparameters", "pictures", "test_set"),
    ("tables",),
    ("results", "retraining"),
    ("findings", "screen"),
    ("report",),
)
"""The rooms of the analysis by floors, the lowest first."""
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
    """The parts of a module that run; what stands under `if TYPE_CHECKING` does not."""
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


def test_ray_is_imported_where_searches_and_retraining_run_alone():
    home = ("ichtune.search.", "analysis.retraining.train", "benchmarks.")
    strangers = {name for name in importers("ray") if not f"{name}.".startswith(home)}
    assert not strangers


def test_the_product_reaches_for_its_analysis_only_within_its_commands():
    product = {name for name in OURS if name.startswith("ichtune")}
    assert importers("analysis") & product <= {"ichtune.cli", "ichtune.api", "ichtune.search.command"}
    assert not importers("analysis", inside_functions=False) & product


def test_the_rooms_of_the_analysis_import_those_below_them_alone():
    floor = {room: level for level, rooms in enumerate(ANALYSIS) for room in rooms}
    for name, path in files_of("analysis").items():
        for module in imports(path, inside_functions=True):
            if module.startswith("analysis.") and (to := module.split(".")[1]) != name.split(".")[1]:
                assert floor[to] < floor[name.split(".")[1]], f"{name} imports {module}"


def test_the_statistics_of_a_ranking_are_known_to_its_certainty_and_to_tables_of_other_scores():
    knowing = importers("analysis.statistics.significance") & OURS.keys()
    assert knowing == {
        "analysis.ranking.certainty",
        "analysis.ranking.seed_noise",
        "analysis.results",
        "analysis.tables.ablation",
        "analysis.tables.labels",
    }


def test_albumentations_which_has_seen_its_last_release_stands_behind_one_module():
    assert importers("albumentations") & OURS.keys() == {"ichtune.data.augment"}


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
    "path", ["launch.py", "cluster.yaml", "README.md", "docs/cluster.md", "CHANGELOG.md"]
)
def test_what_a_person_looks_for_first_stands_at_the_top(path):
    assert (ROOT / path).stat().st_size


def test_the_presets_stand_at_the_top():
    assert {path.stem for path in (ROOT / "search_spaces").glob("*.yaml")} >= {"quick", "default", "full"}
