"""What the hyperparameters do: which of them decide of the score, and what each value is worth."""
