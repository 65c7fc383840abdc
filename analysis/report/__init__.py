"""The report of a search: one self-contained HTML file, for a doctor, a referee and an engineer."""
