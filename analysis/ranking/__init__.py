"""A run's trials in order, and what their own records show."""
