"""The page's bundled viewer comes with the licences of all that is in it, and is what its recipe says."""

import json
import re
from pathlib import Path

import pytest

VIEWER = Path(__file__).parents[2] / "ichtune" / "viewer"
LICENCES = VIEWER / "static" / "vendor" / "cornerstone-licences.txt"
PACKAGE = json.loads((VIEWER / "bundle" / "package.json").read_text())


def pinned(versions: dict[str, str | dict], within: str = "") -> set[str]:
    """All packages of a recipe as `name version`; one that another has for itself is below that one's name."""
    found = set()
    for name, version in versions.items():
        if isinstance(version, dict):
            found |= pinned(version, name)
        else:
            found.add(f"{within if name == '.' else name} {version}")
    return found


def test_every_package_has_its_licence_beside_the_bundle():
    headings = set(re.findall(r"^=+\n(\S+ \S+) \(.+\)\n=+$", LICENCES.read_text(), re.MULTILINE))
    assert len(headings) > 10
    assert "@cornerstonejs/core 5.14.0" in headings
    assert pinned(PACKAGE["dependencies"] | PACKAGE["overrides"]) == headings


def test_every_licence_is_a_permissive_one():
    allowed = {"MIT", "ISC", "BSD-3-Clause", "Apache-2.0", "Zlib", "Python-2.0", "WTFPL"}
    kinds = re.findall(r"^=+\n\S+ \S+ \((.+)\)\n=+$", LICENCES.read_text(), re.MULTILINE)
    words = {word for kind in kinds for word in re.split(r"\(|\)| AND | OR ", kind) if word}
    assert words <= allowed


def test_the_recipe_names_the_exact_version_of_every_package():
    pins = pinned(PACKAGE["dependencies"] | PACKAGE["devDependencies"] | PACKAGE["overrides"])
    assert all(re.fullmatch(r"\S+ \d+\.\d+\.\d+", pin) for pin in pins)


def test_the_bundle_is_small_and_the_page_names_only_its_own_files():
    assert (VIEWER / "static" / "vendor" / "cornerstone.js").stat().st_size < 3_000_000
    for file in (VIEWER / "static").glob("*.*"):
        assert "://" not in file.read_text(), file


@pytest.mark.parametrize("module", sorted((VIEWER / "static").glob("*.js")), ids=lambda path: path.name)
def test_a_module_imports_modules_that_are_there(module: Path):
    for target in re.findall(r'from "(.+)"', module.read_text()):
        assert (module.parent / target).is_file(), target
