"""Tables whose labels are names in one column."""

from pathlib import Path

import numpy as np
import pytest

from ichtune.data.label_tables import describe_labels, read_csv, read_wide
from ichtune.errors import InputError
from ichtune.labels import SUBTYPES

U = np.nan


def read(folder: Path, text: str):
    path = folder / "labels.csv"
    path.write_text(text)
    table = read_csv(path)
    labels, wrong = read_wide(table, path)
    return labels, wrong.to_dict(), describe_labels(table, path, ("file",))


@pytest.mark.parametrize(
    ("cell", "six"),
    [
        ("epidural", [1, 0, 0, 0, 0, 1]),
        ("SDH", [0, 0, 0, 0, 1, 1]),
        ("Subdural Hematoma", [0, 0, 0, 0, 1, 1]),
        ("Normal", [0] * 6),
        ("no hemorrhage", [0] * 6),
        ("Non-Hemorrhagic", [0] * 6),
        ("negative", [0] * 6),
        ("hemorrhage", [U, U, U, U, U, 1]),
        ("ICH", [U, U, U, U, U, 1]),
        ("EDH;SAH", [1, 0, 0, 1, 0, 1]),
        ("iph | ivh", [0, 1, 1, 0, 0, 1]),
        ("SAH + SDH", [0, 0, 0, 1, 1, 1]),
        ("subdural/subarachnoid", [0, 0, 0, 1, 1, 1]),
        ("hemorrhage; subdural", [0, 0, 0, 0, 1, 1]),
    ],
)
@pytest.mark.parametrize("column", ["class", "Label", "diagnosis", "Type"])
def test_named_labels_are_1_and_the_other_subtypes_0(tmp_path, column, cell, six):
    labels, wrong, _ = read(tmp_path, f"file,{column}\na,{cell}\nb,epidural\n")
    np.testing.assert_array_equal(labels.to_numpy(), [six, [1, 0, 0, 0, 0, 1]])
    assert not wrong


def test_classes_without_a_subtype_are_a_binary_label(tmp_path):
    labels, _, _ = read(tmp_path, "file,class\na,Hemorrhage\nb,Normal\n")
    assert labels["any"].tolist() == [1, 0]
    assert labels[list(SUBTYPES)].isna().all(axis=None)


def test_a_blank_class_is_unknown_and_a_strange_one_rejects_its_row(tmp_path):
    _, wrong, _ = read(tmp_path, "file,class\na,SDH\nb,\nc,stroke\nd,Normal+SDH\ne,SDH+?\n")
    assert wrong == {
        3: "no label: all its label cells are empty",
        4: "a label that is not understood: class is 'stroke' (line 4)",
        5: "a label that is not understood: class is 'Normal+SDH' (line 5)",
        6: "a label that is not understood: class is 'SDH+?' (line 6)",
    }


def test_the_note_says_what_each_name_was_read_as(tmp_path):
    _, _, notes = read(tmp_path, "file,Diagnosis\na,SDH + IPH\nb,ICH\nc,Normal\nd,stroke\n")
    assert notes == [
        "Names in the column Diagnosis were read as labels: 'SDH' as subdural, 'IPH' as intraparenchymal, "
        "'ICH' as any of unknown subtype, 'Normal' as none of the six."
    ]


def test_a_binary_label_and_a_type_complete_one_another(tmp_path):
    labels, wrong, _ = read(tmp_path, "file,label,type\na,1,SDH\nb,0,\nc,1,\nd,0,SAH\n")
    np.testing.assert_array_equal(labels["any"], [1, 0, 1, 0])
    np.testing.assert_array_equal(labels["subdural"], [1, U, U, 0])
    assert wrong == {5: "contradictory labels: a subtype is 1 but any is 0"}


def test_a_number_beside_the_names_of_classes_is_not_taken_for_a_label(tmp_path):
    labels, wrong, notes = read(tmp_path, "file,label,class\na,epidural,0\nb,Normal,1\nc,SDH,2\n")
    assert labels["any"].tolist() == [1, 0, 1]
    assert not wrong
    assert "Columns not understood, and not used: class." in notes


@pytest.mark.parametrize("other", ["type,CT", "diagnosis,stroke", "class,thin"])
def test_columns_of_other_things_beside_the_labels_stay_unused(tmp_path, other):
    column, cell = other.split(",")
    labels, wrong, notes = read(tmp_path, f"file,any,{column}\na,1,{cell}\nb,0,Normal\n")
    assert labels["any"].tolist() == [1, 0]
    assert not wrong
    assert notes == [f"Columns not understood, and not used: {column}."]


def test_a_column_of_other_names_alone_is_no_label(tmp_path):
    with pytest.raises(InputError, match=r"no label column; it needs .* class, type or diagnosis"):
        read(tmp_path, "file,type\na,CT\nb,MR\n")
