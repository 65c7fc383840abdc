"""What goes wrong because of what a person gave, told apart from what goes wrong by itself."""


class InputError(ValueError):
    """Wrong input: the message alone tells rule, value, place and mend (the commands exit with 2)."""
