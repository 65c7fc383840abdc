"""Searches on Ray Tune."""

import ichtune.cluster  # noqa: F401  Ray's settings come before the first import of Ray
