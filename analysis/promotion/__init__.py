"""Recipes of a finished search promoted to a new one that trains their backbones."""
