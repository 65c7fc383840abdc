"""The page's bundled viewer comes with the licences of all that is in it, and is what its recipe says."""

import json
import re
from pathlib import Path

import pytest

VIEWER = Path(__file__).parents[2] / "ichtune" / "viewer"
LICENCES = VIEWER / "static" / "vendor" / "cornerstone-licences.txt"
LOCK = json.loads((VIEWER / "bundle" / "package-lock.json").read_text())


def packages() -> dict[str, dict]:
    """Every package that the bundle's recipe installs, by its path, without the tools that build it."""
    return {path: of for path, of in LOCK["packages"].items() if path and not of.get("dev")}


def needed() -> set[str]:
    """The packages that the viewer needs, as `name version`, found by following the recipe's dependencies."""
    found, waiting = {}, [("", name) for name in LOCK["packages"][""]["dependencies"]]
    while waiting:
        inside, name = waiting.pop()
        nested = f"{inside}/node_modules/{name}"
        path = nested if inside and nested in LOCK["packages"] else f"node_modules/{name}"
        if path not in found:
            found[path] = f"{name} {LOCK['packages'][path]['version']}"
            waiting += [(path, inner) for inner in LOCK["packages"][path].get("dependencies", {})]
    return set(found.values())


def test_every_package_has_its_licence_beside_the_bundle():
    headings = set(re.findall(r"^=+\n(\S+ \S+) \(.+\)\n=+$", LICENCES.read_text(), re.MULTILINE))
    assert len(headings) > 10
    assert "@cornerstonejs/core 5.14.0" in headings
    assert needed() <= headings


def test_every_licence_is_a_permissive_one():
    allowed = {"MIT", "ISC", "BSD-3-Clause", "Apache-2.0", "Zlib", "Python-2.0", "WTFPL"}
    kinds = re.findall(r"^=+\n\S+ \S+ \((.+)\)\n=+$", LICENCES.read_text(), re.MULTILINE)
    words = {word for kind in kinds for word in re.split(r"\(|\)| AND | OR ", kind) if word}
    assert words <= allowed


def test_the_recipe_names_exact_versions_and_no_addresses():
    package = json.loads((VIEWER / "bundle" / "package.json").read_text())
    versions = [*package["dependencies"].values(), *package["devDependencies"].values()]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions)
    assert not [path for path, of in LOCK["packages"].items() if "resolved" in of]
    assert all(of.get("integrity") for of in packages().values())


def test_the_bundle_is_small_and_the_page_names_only_its_own_files():
    assert (VIEWER / "static" / "vendor" / "cornerstone.js").stat().st_size < 3_000_000
    for file in (VIEWER / "static").glob("*.*"):
        assert "://" not in file.read_text(), file


@pytest.mark.parametrize("module", sorted((VIEWER / "static").glob("*.js")), ids=lambda path: path.name)
def test_a_module_imports_modules_that_are_there(module: Path):
    for target in re.findall(r'from "(.+)"', module.read_text()):
        assert (module.parent / target).is_file(), target
