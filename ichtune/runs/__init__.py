"""A run on disk: what was asked for, the study, and what every trial left behind."""
