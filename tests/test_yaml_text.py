"""YAML as a person means it, and errors with their line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichtune.yaml_text import YamlError, parse_yaml, parse_yaml_value, read_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("1_000", 1000),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ("", None),
        ("010", "010"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("40/80", "40/80"),
        ("e5", "e5"),
        ("[1e-3, a]", [1e-3, "a"]),
    ],
)
def test_a_scalar_is_what_a_person_means(text: str, value: object):
    read = parse_yaml_value(text, "here")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml, line 1: is empty; must be a mapping of keys to values"),
        ("# nothing\n", "f.yaml, line 1: is empty; must be a mapping of keys to values"),
        ("# first\n\n- a\n", "f.yaml, line 3: holds a list; must be a mapping (key: value)"),
        ("5", "f.yaml, line 1: holds a single value; must be a mapping (key: value)"),
        ("a:\n\tb: 1", "f.yaml, line 2: YAML can't be indented with tabs; use spaces"),
        ("a: 1\nb: 2\na: 3", "f.yaml, line 3: duplicate key 'a'"),
        ("x: {b: 1, b: 2}", "f.yaml, line 1: duplicate key 'b'"),
        ("a: 1\n---\nb: 2", "f.yaml, line 2: a second document begins (---); there must be only one"),
        ("a: &x [*x]", "f.yaml, line 1: found unconstructable recursive node"),
        (
            "a:\n  b: [1",
            "f.yaml, line 2: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'",
        ),
    ],
)
def test_an_error_names_the_line(text: str, message: str):
    with pytest.raises(YamlError) as caught:
        parse_yaml(text, "f.yaml")
    assert str(caught.value) == message


def test_no_python_object_is_made():
    with pytest.raises(YamlError, match=r"line 1: a tag \(tag:yaml.org,2002:python/object/apply:os.getcwd\)"):
        parse_yaml("a: !!python/object/apply:os.getcwd []", "f.yaml")


def test_a_byte_order_mark_is_tolerated(tmp_path: Path):
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_yaml(file) == {"a": 1} == parse_yaml("\ufeffa: 1", "text")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: \xe9\n")
    for path, problem in [
        (tmp_path / "none.yaml", ": no such file"),
        (tmp_path, ": is a folder, not a YAML file"),
        (latin, ", line 2: not UTF-8 text; save the file as UTF-8"),
    ]:
        with pytest.raises(YamlError) as caught:
            read_yaml(path)
        assert str(caught.value) == f"{path}{problem}"


words = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=8)
numbers = st.integers() | st.floats(allow_nan=False)
scalars = st.none() | st.booleans() | numbers | words | st.sampled_from(["1e-5", "no", "010", "None"])
plain = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(words, inner), max_leaves=8)


@given(st.dictionaries(words, plain, min_size=1))
def test_what_is_written_reads_back_equal(data: dict):
    assert parse_yaml(write_yaml(data), "text") == data


def test_a_distribution_is_written_on_one_line():
    assert write_yaml({"lr": {"loguniform": [1e-5, 0.01], "default": 0.001}}) == (
        "lr: {loguniform: [1.0e-05, 0.01], default: 0.001}\n"
    )
