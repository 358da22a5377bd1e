"""One place that imports optional libraries and says how to get them."""

from importlib import import_module
from types import ModuleType

from esmlearn.exceptions import EngineNotFoundError


def import_optional(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional library.

    Parameters
    ----------
    module : str
        Name of the module, such as ``"matplotlib.pyplot"``.
    extra : str
        The extra of esmlearn that installs it.
    purpose : str
        What it is needed for, as the start of a sentence: ``"Plotting"``.

    Returns
    -------
    module : module
        The imported module.

    Raises
    ------
    EngineNotFoundError
        If the library is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise EngineNotFoundError(
            f"{purpose} needs the library {module.split('.')[0]!r}, which is not installed. "
            f'Install it with: python -m pip install "esmlearn[{extra}]"'
        ) from error


def require_torch(purpose: str) -> None:
    """Raise an EngineNotFoundError that says how to get torch, where it is missing.

    It is a dependency, but everything that runs no network works without it.

    Parameters
    ----------
    purpose : str
        What it is needed for, as the start of a sentence: ``"Training a network"``.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise EngineNotFoundError(
            f"{purpose} needs torch, which is not installed or cannot be imported ({error}). "
            f"Install it with: python -m pip install torch fair-esm skorch"
        ) from error
