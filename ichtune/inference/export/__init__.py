"""Trained models in formats that other software runs."""
