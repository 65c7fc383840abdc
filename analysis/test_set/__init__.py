"""The test set, which is scored only at the end."""
