"""What each command does on a terminal. Only commands import the analysis, and each imports what it needs inside its
function, so that `--help` responds at once."""
