"""Errors that say what was got, what was expected and what to do.

Everything that a user can put right is an `EsmlearnError`; the command line turns it into one line
on stderr and exit code 2. Wrong values are also `ValueError`, as scikit-learn users expect.
"""

__all__ = [
    "CacheError",
    "CheckpointError",
    "DataError",
    "DownloadError",
    "EngineError",
    "EngineNotFoundError",
    "EsmlearnError",
    "InsufficientComponentsError",
    "ResamplingWarning",
    "TrainingInterruptedWarning",
]


class EsmlearnError(Exception):
    """Base class of every error that esmlearn raises on purpose."""


class DataError(EsmlearnError, ValueError):
    """Input data that cannot be used: bad sequences, targets, tables or files."""


class InsufficientComponentsError(DataError):
    """Fewer homology components than the folds or parts that were asked for."""


class DownloadError(EsmlearnError, OSError):
    """A data set that is not there and cannot be downloaded, or whose checksum is another."""


class CheckpointError(EsmlearnError, ValueError):
    """A model checkpoint that is missing, damaged or of an unknown kind."""


class CacheError(EsmlearnError, RuntimeError):
    """A cache file that cannot be used and cannot be safely replaced."""


class EngineNotFoundError(EsmlearnError, ImportError):
    """A search engine or optional library that is not installed."""


class EngineError(EsmlearnError, RuntimeError):
    """An external program that failed, or whose output cannot be used.

    Attributes
    ----------
    command : list of str or None
        What was run.
    version : str or None
        The version of the program.
    returncode : int or None
        Its exit code; negative for a signal.
    stderr : str
        The end of what it wrote.
    """

    def __init__(
        self,
        message: str,
        *,
        command: list[str] | None = None,
        version: str | None = None,
        returncode: int | None = None,
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.command = command
        self.version = version
        self.returncode = returncode
        self.stderr = stderr


class ResamplingWarning(UserWarning):
    """A sampler could not do what was asked, and a documented rule was applied instead."""


class TrainingInterruptedWarning(UserWarning):
    """A training was stopped by Ctrl-C; the best weights so far were kept."""
