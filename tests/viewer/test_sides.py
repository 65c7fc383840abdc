"""The letters at the edges of a slice are those of DICOM's patient axes."""

import pytest

from ichtune.viewer.sides import sides


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        # Rows run to the patient's left and columns to the back: the usual axial slice, seen from the feet.
        (r"1\0\0\0\1\0", ("R", "A", "L", "P")),
        (r"1\0\0\0\0.97\-0.24", ("R", "A", "L", "P")),  # a tilted gantry
        (r"-1\0\0\0\1\0", ("L", "A", "R", "P")),  # mirrored
        (r"-1\0\0\0\-1\0", ("L", "P", "R", "A")),  # lying on the face
        (r"0\1\0\-1\0\0", ("A", "L", "P", "R")),  # turned by 90 degrees
        ("", None),
        (r"1\0\0\0\1", None),
        (r"1\0\0\0\nan\0", None),
    ],
)
def test_each_edge_has_the_side_of_the_patient_that_is_there(orientation: str, expected: tuple | None):
    assert sides(orientation) == expected
