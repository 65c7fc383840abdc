"""How patients move a score, and how sure that leaves it."""
