"""What each command does on a terminal. Commands alone know the analysis; what one needs is imported inside it, so
that `--help` answers at once."""
