"""Made-up heads for the phantom: which Hounsfield units go where.

Lengths are in mm in a template head that is scaled to each patient's size: x points left, y back and z up, with the
origin 17 mm behind the anterior commissure, so that (x, y, z) of the MNI template is (x, -y - 17, z) here.
"""
