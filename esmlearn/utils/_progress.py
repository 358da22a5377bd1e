"""Progress of long work: a bar on a terminal or in a notebook, silence in a pipe."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(*, total: int | None, description: str, unit: str, verbose: int = 1) -> "tqdm":
    """Return a progress bar that shows only on a terminal or in a notebook.

    Parameters
    ----------
    total : int or None
        Amount of work, in `unit`.
    description : str
        What is being done.
    unit : str
        Name of one unit of work, such as ``"residue"``.
    verbose : int, default=1
        0 hides the bar; 1 shows it on a terminal or in a notebook; 2 shows it always.

    Returns
    -------
    bar : tqdm.tqdm
        Call ``update(n)``; use it as a context manager.
    """
    from tqdm import asyncio, auto

    in_notebook = auto.tqdm is not asyncio.tqdm
    hidden = verbose <= 0 or (verbose == 1 and not in_notebook and not sys.stderr.isatty())
    return auto.tqdm(
        total=total,
        desc=description,
        unit=f" {unit}",
        unit_scale=total is None or total >= 10_000,  # 153 fits are no "0.15k"
        disable=hidden,
        leave=False,
    )
