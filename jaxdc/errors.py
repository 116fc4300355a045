"""The one exception that is meant for a person: one sentence, what was wrong and what would be right."""


class InputError(ValueError):
    """Bad input. The command prints its message alone and exits with code 2."""
