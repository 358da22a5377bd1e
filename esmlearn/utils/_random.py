"""Generators of random numbers that leave NumPy's global one alone."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state


def random_generator(random_state: Any) -> np.random.RandomState:
    """Return the generator that is meant by a parameter `random_state`.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        Where scikit-learn takes None for NumPy's global generator, which it then reads and moves
        on, None is a new generator here, seeded by the operating system.

    Returns
    -------
    generator : RandomState
    """
    return np.random.RandomState() if random_state is None else check_random_state(random_state)
