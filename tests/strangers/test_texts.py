"""A YAML or JSON text of a stranger neither runs code nor takes all memory."""

from pathlib import Path

import pytest

from ichtune.errors import InputError
from ichtune.json_text import read_json
from ichtune.yaml_text import YamlError, parse_yaml, read_yaml


def doubling(levels: int) -> str:
    """Lists of ten aliases each to the one before: 10 ** levels values in a few hundred bytes."""
    first = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    return first + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, levels))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (doubling(9), "line 5: more than 100,000 values with aliases expanded"),
        ("a: " + "[" * 100_000, "line 1: more than 50 levels of nesting"),
        ("a: " + "{a: " * 1_000, "line 1: more than 50 levels of nesting"),
        (
            "".join(f"a{n}: &a{n} [{f'*a{n - 1}' if n else 1}]\n" for n in range(80)),
            "levels of nesting with aliases",
        ),
        ("a: !!python/object/apply:os.system [id]", r"a tag \(.*os.system\); only plain values are allowed"),
        ("a: !!binary aGk=", "a tag"),
        ("a: !!set {b}", "a tag"),
        ("a: !mine 1", r"a tag \(!mine\)"),
        ("a: " + "1" * 5_000, "limit"),
        ("a: 1\na: 2", "duplicate key 'a'"),
    ],
)
def test_yaml_that_would_run_code_or_take_all_memory_is_refused(text: str, message: str):
    with pytest.raises(YamlError, match=message):
        parse_yaml(text, "space.yaml")


def test_an_alias_within_bounds_is_what_it_stands_for():
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: {d: *a}", "t") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": [1, 2]},
    }


def test_a_yaml_file_without_end_is_not_read_whole(tmp_path: Path):
    file = tmp_path / "big.yaml"
    with open(file, "wb") as stream:
        stream.truncate(1 << 40)  # a terabyte that takes no disk
    with pytest.raises(YamlError, match="larger than 1,000,000 bytes"):
        read_yaml(file)


def test_a_space_that_is_a_bomb_ends_with_2(ichtune, tmp_path: Path):
    (tmp_path / "space.yaml").write_text(doubling(9))
    code, _, errors = ichtune("space", tmp_path / "space.yaml")
    assert (code, "aliases expanded" in errors) == (2, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"a": "\\ud800"}', "half a surrogate pair"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "not JSON: Exceeds the limit"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_json_that_breaks_its_reader_or_a_writer_is_refused(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_json(tmp_path / "a.json")
