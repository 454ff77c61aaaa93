"""The error tree: what went wrong, where, and what to do about it.

Whatever a user can cause is a ``CharnnError``; the command line prints it as one line and exits
with its ``exit_code``. Anything else that escapes is a bug in charnn.
"""

from typing import Self


class CharnnError(Exception):
    """Something failed: the base of all errors that charnn raises on purpose.

    Args:
        message: what went wrong and where, one line, no final full stop.
        hint: what to do about it, one line.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def at(self, place: object) -> Self:
        """The same error, with the place where it happened in front."""
        return type(self)(f"{place}: {self.message}", self.hint)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(CharnnError):
    """The command was asked for something that makes no sense: exit code 2."""

    exit_code = 2


class InputError(CharnnError):
    """A file or stream that should be read is missing, empty, or not what it should be."""


class CorpusError(CharnnError):
    """A tokenized corpus is missing, damaged, too short, or not the one that was meant."""


class CorpusExistsError(CorpusError):
    """Another tokenized corpus is where one should be made."""


class CheckpointError(CharnnError):
    """A checkpoint is missing, damaged, or from another version."""


class OutputError(CharnnError):
    """A folder or file cannot be written."""


class FetchError(CharnnError):
    """A public text cannot be had: no network, no such file, or not what it should be."""


class UnknownTokenError(CharnnError):
    """The text holds something that the vocabulary lacks, and ``--unknown error`` was asked for."""


class TrainingError(CharnnError):
    """Training cannot go on."""


class GenerationError(CharnnError):
    """No text can be written as it was asked for."""
