"""Hyperparameters: how much each one drives the score, and the effect of each value."""
