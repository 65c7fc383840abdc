import pytest

from ichtune.data.columns import LabelColumn, describe_columns, label_columns, label_of, plain

# Names as CQ500's reads, CT-ICH's table, Kaggle's head CT sets and clinical tables write them.
SAME = {
    "epidural": [
        "Epidural",
        "EDH",
        "EPH",
        "epidural_hematoma",
        "Epidural Haematoma",
        "extradural-hemorrhage",
    ],
    "intraparenchymal": [
        "IPH",
        "Intraparenchymal",
        "intraparenchymal_hemorrhage",
        "Intracerebral Haemorrhage",
    ],
    "intraventricular": ["IVH", "intraventricular_haemorrhage", "hemorrhage_intraventricular"],
    "subarachnoid": ["SAH", "Subarachnoid Hemorrhage", "subarachnoid_bleed"],
    "subdural": ["SDH", "subdural_haematoma", "Sub-Dural Hematoma"],
    "any": [
        "any",
        "ICH",
        "hemorrhage",
        " Haemorrhage",
        "Intracranial_Hemorrhage",
        "any_hemorrhage",
        "bleeding",
    ],
}


@pytest.mark.parametrize(
    ("name", "label"), [(name, label) for label, names in SAME.items() for name in names]
)
def test_a_label_is_known_by_what_people_call_it(name, label):
    assert label_of(plain(name)) == LabelColumn(plain(name), label)


@pytest.mark.parametrize("name", ["No_Hemorrhage", "Normal", "control", "no ICH", "no_haemorrhage"])
def test_columns_that_say_there_is_none_are_any_the_other_way_round(name):
    assert label_of(plain(name)) == LabelColumn(plain(name), "any", negated=True)


@pytest.mark.parametrize(
    "name", ["Fracture_Yes_No", "hemorrhage_volume", "MidlineShift", "notes", "age", "ichthyosis", "No", "_"]
)
def test_other_columns_are_no_labels(name):
    assert label_of(plain(name)) is None


def test_a_column_named_label_is_taken_only_where_nothing_else_says_any():
    assert [column.name for column in label_columns(["id", "label"])] == ["label"]
    assert [column.name for column in label_columns(["id", "label", "ich"])] == ["ich"]


def test_what_was_not_understood_is_listed_and_a_missing_label_said():
    original = {"id": "id", "edh": "EDH", "any": "any", "midlineshift": "Midline Shift"}
    notes = describe_columns(original, label_columns(original), ["id"])
    assert notes == [
        "Columns read under another name: EDH as epidural.",
        "No column for intraparenchymal, intraventricular, subarachnoid, subdural: missing values, not zeros.",
        "Columns not understood, and not used: Midline Shift.",
    ]
