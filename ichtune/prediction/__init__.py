"""Predictions of trained models on slices without labels, from files to tables."""
