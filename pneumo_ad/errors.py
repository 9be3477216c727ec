"""Errors that are the user's to mend: the command line shows their message without a traceback."""


class UserError(ValueError):
    """Something the caller gave cannot work; the message says what came, what was expected and what would work."""


class DataError(UserError):
    """A file, folder or table that is not what it should be."""


class DivergedError(UserError):
    """A loss, weights or scores that are not finite: what a training that diverged leaves behind."""


class ConfigError(UserError):
    """Options that cannot work, or cannot work together."""
