"""Hyperparameter search for intracranial hemorrhage detection on head CT."""
