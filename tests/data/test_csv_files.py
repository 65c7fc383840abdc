"""Label files in the encodings, delimiters and line ends that spreadsheets and scripts write."""

import codecs
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ichtune.data.csv_files import csv_format, read_cells
from ichtune.data.label_tables import read_csv, read_wide
from ichtune.data.long_tables import read_long
from ichtune.data.options import PrepareOptions
from ichtune.data.sources import open_source
from ichtune.errors import InputError
from ichtune.labels import LABELS


def written(folder: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def any_of(path: Path) -> dict[str, float]:
    """The label `any` of each row by its first column."""
    table = read_csv(path)
    return dict(zip(table.iloc[:, 0], read_wide(table, path)[0]["any"].tolist(), strict=True))


def opened(root: Path, names: list[str]):
    for number, name in enumerate(names):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(root / name)
    return open_source(root, None, PrepareOptions())


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF8, "utf-8"),
        (b"", "utf-8"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_byte_order_mark_and_the_header_say_how_a_file_is_written(tmp_path, mark, encoding, delimiter):
    text = "file,any\r\nMüller.png,1\r\nb.png,0\r\n".replace(",", delimiter)
    path = written(tmp_path, mark + text.encode(encoding))
    assert any_of(path) == {"Müller.png": 1, "b.png": 0}
    assert csv_format(path).notes == ()


@pytest.mark.parametrize(
    ("encoding", "name", "shown"), [("cp1252", "Müller–1", "Windows-1252"), ("latin-1", "Mü\x81", "Latin-1")]
)
def test_an_old_encoding_is_read_and_named_in_a_note(tmp_path, encoding, name, shown):
    written(tmp_path, f"file,any\n{name}.png,1\n", encoding)
    source = opened(tmp_path, [f"{name}.png"])
    assert source.entries["file"].tolist() == [f"{name}.png"]
    assert source.notes[0].startswith(f"labels.csv isn't UTF-8 and was read as {shown}")


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=;;"])
def test_a_first_line_of_excel_states_the_delimiter(tmp_path, first):
    path = written(tmp_path, f"{first}\r\nfile;any, or none?\r\na;1\r\nb;maybe\r\n")
    assert csv_format(path).header == ("file", "any, or none?")
    assert read_cells(path).index.tolist() == [3, 4]


def test_decimal_commas_are_read_where_a_semicolon_separates(tmp_path):
    path = written(tmp_path, "file;any\na;1,0\nb;0,00\nc;0,5\n")
    table = read_csv(path)
    labels, wrong = read_wide(table, path)
    assert labels["any"].tolist() == [1, 0, -1]
    assert wrong.to_dict() == {4: "a label that is neither 0 nor 1: any is '0,5' (line 4)"}


def test_a_comma_in_a_quoted_cell_is_no_decimal_comma_where_commas_separate(tmp_path):
    path = written(tmp_path, 'file,any\na,"1,000"\nb,0\n')
    assert list(read_wide(read_csv(path), path)[1].index) == [2]


@pytest.mark.parametrize(
    "text",
    [
        "file,any,\na,1,\nb,0,\n",
        "file,any\na,1,\nb,0,\n",
        "file,any\na,1\nb,0,,,\n",
        "file,any,,\na,1\nb,0,,\n",
    ],
)
def test_trailing_commas_do_not_shift_columns_or_add_any(tmp_path, text):
    path = written(tmp_path, text)
    assert any_of(path) == {"a": 1, "b": 0}
    assert list(read_csv(path).columns) == ["file", "any"]


def test_a_row_wider_than_the_header_is_refused_with_its_line(tmp_path):
    path = written(tmp_path, "sep=,\nfile,any\na,1,\n\nb,0,5,\n")
    with pytest.raises(InputError, match="line 5 has 4 cells, but the header has 2"):
        read_csv(path)


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("positive", "negative"),
        ("POS", "Neg"),
        (" Yes ", "no"),
        ("TRUE", "False"),
        ("1.00", "0.0"),
        ("1", "0"),
    ],
)
def test_yes_and_no_have_many_words_and_a_blank_is_unknown(tmp_path, yes, no):
    path = written(tmp_path, f"file,any,sdh\na,{yes},{no}\nb,{no}, \nc,,{no}\n")
    labels, wrong = read_wide(read_csv(path), path)
    np.testing.assert_array_equal(labels["any"], [1, 0, np.nan])
    np.testing.assert_array_equal(labels["subdural"], [0, np.nan, 0])
    assert wrong.empty


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("file,any\na,1\nb,maybe\n", 3),
        ("sep=,\nfile,any\na,1\nb,maybe\n", 4),
        ("\n\nfile,any\n\na,1\nb,maybe\n", 6),
        ('file,any,note\na,1,"two\nlines"\nb,maybe,\n', 4),
        ('file,any,"long\r\nname"\r\na,1,"x\r\n\r\ny"\r\nb,maybe,\r\n', 6),
        ("file,any\ra,1\rb,maybe\r", 3),
        ("sep=,\rfile,any\ra,1\rb,maybe\r", 4),
    ],
)
def test_a_bad_value_is_shown_with_its_line_in_the_file(tmp_path, text, line):
    path = written(tmp_path, text)
    wrong = read_wide(read_csv(path), path)[1]
    assert wrong.to_dict() == {line: f"a label that is neither 0 nor 1: any is 'maybe' (line {line})"}


def test_a_header_that_may_be_split_two_ways_is_refused_or_told(tmp_path):
    with pytest.raises(InputError, match="either a comma or a semicolon may separate its columns"):
        read_csv(written(tmp_path, "file,any;note\na,1;x\n"))
    path = written(tmp_path, "file;any;age, years\na;1;70\n")
    assert csv_format(path).notes == ("In labels.csv, a semicolon separates the columns, not a comma.",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", "a workbook or a ZIP archive"),
        ("file,any\na,1\n".encode("utf-16-le"), "zero bytes; save it as UTF-8"),
        (b"\xff\xd8\x01\x02 no text", "it isn't text"),
        (b"sep=|\nfile|any\n", "separated by '\\|'"),
        (b'file,any\na,"1\n', "not a readable CSV file"),
        (b"\xef\xbb\xbffile,any\n\xff,1\n", "not a readable CSV file"),
    ],
)
def test_what_is_no_readable_table_is_one_clear_error(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_csv(written(tmp_path, content))


def test_the_long_table_may_be_any_of_these_files_as_well(tmp_path):
    rows = "".join(f"ID_a_{label};{int(label in ('any', 'subdural'))},0;\r\n" for label in LABELS)
    path = written(tmp_path, "sep=;\r\nID;Label\r\n" + rows, "utf-16")
    labels, wrong = read_long(path)
    assert labels.loc["ID_a"].tolist() == [0, 0, 0, 0, 1, 1]
    assert wrong.empty


def test_a_bad_value_of_the_long_table_is_shown_with_its_line(tmp_path):
    rows = "".join(f"ID_a_{label};0\n" for label in LABELS)
    path = written(tmp_path, "sep=;\nID;Label\n" + rows.replace("any;0", "any;0,5"))
    assert read_long(path)[1].to_dict() == {"ID_a": "a label that is neither 0 nor 1: any is '0,5' (line 8)"}


def test_ids_of_the_long_table_that_end_in_no_label_are_rejected_by_name(tmp_path):
    six = "".join(f" ID_a_{label} ,0\n" for label in LABELS)
    labels, wrong = read_long(written(tmp_path, f"ID,Label\n{six}total,1\n{six.replace('any', 'all')}"))
    assert wrong["ID_a"] == "unknown label 'all' in the CSV"
    assert wrong[""] == "incomplete labels: 1 of 6 rows in the CSV"
    assert labels.empty
