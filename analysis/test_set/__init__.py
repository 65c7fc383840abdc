"""The test set, which is scored at the end alone."""
