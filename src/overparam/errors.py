"""The only exceptions that overparam defines.

Each message is one line that names the argument, what was given, what is allowed and what to do.
The second base class lets callers catch the built-in exception that they would expect.
"""


class OverparamError(Exception):
    """Root of all errors that overparam raises on purpose."""


class BadInput(OverparamError, ValueError):
    """An argument, a file or a command line that cannot be accepted as given."""


class Diverged(OverparamError, ArithmeticError):
    """An iteration left the finite numbers; the message names the step."""


class MissingExtra(OverparamError, ImportError):
    """An optional library is not installed; the message names the extra that brings it."""


class NotFound(OverparamError, LookupError):
    """Nothing has the given name: a paper, claim, scale, run or data set."""


class Conflict(OverparamError):
    """Somebody else holds what is asked for, or has taken it over in the meantime."""


class Unavailable(OverparamError):
    """A file, database, disk or network that is needed cannot be used right now."""
