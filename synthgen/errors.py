"""The errors a user can meet. Each says what is wrong, where, which value it is, and what to do.

Every error carries a code of three digits. The first digit is the exit status of the command line:

=====  ====================  ==========================================================
code   class                 meaning
=====  ====================  ==========================================================
E2xx   `UsageError`          an argument or option has a value that it cannot have
E3xx   `DataError`           the table cannot be used as it is
E4xx   `ModelFileError`      a model file cannot be read or written
E5xx   `OutputError`         the result could not be written; what was there before is untouched
E6xx   `ConvergenceError`    training or sampling did not reach its goal
E7xx   `GateError`           a gate set with ``--gate`` failed
=====  ====================  ==========================================================
"""


class SynthgenError(Exception):
    """Base of all errors that are not bugs.

    Args:
        code: Three digits; the first is the exit status on the command line.
        message: One sentence: what is wrong, where (column, first row), which value it is, and what
            to do.

    Attributes:
        exit_status: The first digit of `code`, with which the command line exits.

    Example:
        >>> error = DataError(301, "column 'age' appears twice: rename one of the two")
        >>> error.exit_status, str(error)
        (3, "column 'age' appears twice: rename one of the two [E301]")
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    @property
    def exit_status(self) -> int:
        """The first digit of the code."""
        return self.code // 100

    def __str__(self) -> str:
        return f"{self.message} [E{self.code}]"


class UsageError(SynthgenError, ValueError):
    """An argument or option has a value that it cannot have."""


class DataError(SynthgenError, ValueError):
    """The table cannot be used as it is."""


class ModelFileError(SynthgenError):
    """A model file cannot be read or written."""


class OutputError(SynthgenError, OSError):
    """The result could not be written; what was there before is untouched."""

    # OSError's own __str__ prints "[Errno 501] ..." for two arguments.
    __str__ = SynthgenError.__str__


class ConvergenceError(SynthgenError, RuntimeError):
    """Training or sampling did not reach its goal."""


class GateError(SynthgenError):
    """A gate set with ``--gate`` failed."""
