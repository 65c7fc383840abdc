"""A page in the browser, served to this machine alone, that shows a study and what a model makes of it."""
