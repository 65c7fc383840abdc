"""What a trained model is worth on the slices of a store."""
