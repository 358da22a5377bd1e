"""Device and number of threads on which a network trains."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from esmlearn.exceptions import DataError

__all__ = ["resolve_device", "single_thread"]


def resolve_device(device: str) -> torch.device:
    """Return the device for a name; ``"auto"`` is CUDA, else MPS, else the CPU."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise DataError(
            f"device={device!r} is no device; expected 'auto', 'cpu', 'cuda', 'cuda:<number>' or "
            f"'mps'."
        ) from error
    if (resolved.type == "cuda" and not cuda) or (resolved.type == "mps" and not mps):
        raise DataError(
            f"device={device!r} is not available on this machine; use device='auto' or install a "
            f"torch that supports it."
        )
    return resolved


@contextmanager
def single_thread() -> Iterator[None]:
    """Compute on one thread inside the block.

    Batches of 64 rows gain nothing from threads, sums in a fixed order give the same bits
    everywhere, and workers of a parallel search do not fight for cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)
