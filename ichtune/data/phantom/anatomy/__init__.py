"""Made-up heads for the phantom: which Hounsfield units go where.

Lengths are in mm in a template head that is stretched to each patient's size: x to its left, y to its back,
z to its top, with the origin 17 mm behind the anterior commissure, so that the MNI template's (x, y, z) is the
place (x, -y - 17, z) here.
"""
