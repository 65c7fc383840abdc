"""A run on disk: the request, the study, and the files of every trial."""
