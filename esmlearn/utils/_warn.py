"""Warnings that name the user's line, however deep in a pipeline their reason lies."""

import sys
import warnings

# Whose functions call esmlearn's between the user's line and the reason.
_BETWEEN = {"esmlearn", "imblearn", "sklearn", "joblib"}
# In a worker there is no line of the user; esmlearn's own says most.
_WORKERS = {"multiprocessing", "threading", "concurrent"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of something that the user's line led to.

    Parameters
    ----------
    message : str
        What was met, and what to do about it.
    category : type of Warning, default=UserWarning
        Its class.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _package(frame.f_globals) in _BETWEEN:
        frame, level = frame.f_back, level + 1
    in_worker = _package(frame.f_globals) in _WORKERS
    warnings.warn(message, category, stacklevel=2 if in_worker else level)


def _package(module: dict[str, object]) -> str:
    return str(module.get("__name__", "")).partition(".")[0]
