"""Errors that are the user's to mend: the command line shows their message without a traceback."""

from pneumo_ad.printable import printable


class UserError(ValueError):
    r"""Something the caller gave cannot work; the message says what came, what was expected and what would work.

    Args:
        lines: Of the message. A line feed within one came with a name and is escaped (`printable`): a line of the
            message is a line that we wrote.

    >>> print(UserError("scan\nerror: forged.png: no image", "  the second line"))
    scan\nerror: forged.png: no image
      the second line
    """

    def __init__(self, *lines: object) -> None:
        super().__init__(*(printable(str(line)) for line in lines))

    def __str__(self) -> str:
        return "\n".join(self.args)


class DataError(UserError):
    """A file, folder or table that is not what it should be."""


class DivergedError(UserError):
    """A loss, weights or scores that are not finite: what a training that diverged leaves behind."""


class DamagedError(DataError):
    """A file that this project wrote, and that is no longer, or never was, what it wrote."""


class ConfigError(UserError):
    """Options that cannot work, or cannot work together."""
