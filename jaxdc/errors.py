"""The exception for users: one sentence that says what is wrong and what to do."""


class InputError(ValueError):
    """Bad input. The command prints only its message and exits with code 2."""
