"""The report of a search: one HTML file with everything in it, for a doctor, a referee and an engineer."""
