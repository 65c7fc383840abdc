"""Why a model decides as it does: example slices with activation maps, and the classes it recognises."""
