"""A trained model in a folder, and what can be done with it."""
