"""Errors caused by user input, as opposed to failures of the machine or of the code."""


class InputError(ValueError):
    """Bad input. The message states the rule, the value, where it is and how to fix it; commands exit with 2."""
