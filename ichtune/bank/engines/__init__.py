"""Engines: what computes a frozen backbone's features. Each has a file of its own, imported when it is used."""
