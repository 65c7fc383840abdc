"""Inputs of a network: augmented images of slices."""
