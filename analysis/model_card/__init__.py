"""The model card: what a trained model is, what it was trained and scored on, and what it is not for."""
