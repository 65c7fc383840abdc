"""Experiment trackers: what a run has on disk, sent to MLflow or to Weights & Biases."""
