"""Calibration and decision thresholds of a model, chosen on out-of-fold predictions."""
