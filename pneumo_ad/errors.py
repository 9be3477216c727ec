"""Errors that are the user's to mend: the command line shows their message without a traceback."""


class UserError(ValueError):
    """Something the caller gave cannot work; the message says what came, what was expected and what would work."""


class DataError(UserError):
    """A file, folder or table that is not what it should be."""


class DamagedError(DataError):
    """A file that this project wrote, and that is no longer, or never was, what it wrote."""


class ConfigError(UserError):
    """Options that cannot work, or cannot work together."""
