"""Published studies as lists of commands, and their figures beside those found here."""
