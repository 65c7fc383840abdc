"""The tables of a ranking, and the files that they are written to."""
