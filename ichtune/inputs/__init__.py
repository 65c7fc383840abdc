"""What a network is given: augmented images of slices."""
