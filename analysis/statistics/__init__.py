"""How patients influence a score, and how certain that leaves it."""
