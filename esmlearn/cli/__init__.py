"""The command line: thin over the public functions, clear about what went wrong."""

from esmlearn.cli._main import main

__all__ = ["main"]
