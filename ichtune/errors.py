"""Errors caused by user input, as opposed to failures of the machine or of the code."""


class InputError(ValueError):
    """Wrong input. The message alone gives rule, value, place and mend; commands exit with 2."""
