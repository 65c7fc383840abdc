"""Models scored on the same slices, side by side."""
