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


def repeatable_generator(random_state: Any) -> np.random.RandomState:
    """Return the generator of a parameter `random_state` whose None is a fixed seed."""
    return check_random_state(0 if random_state is None else random_state)


def seed_unseeded(estimator: Any, random_state: Any) -> Any:
    """Give an estimator, and those inside of it, the seeds that it lacks.

    An estimator without a seed would read and move on NumPy's global generator. Seeds that are
    set stay as they are.

    Parameters
    ----------
    estimator : estimator
        Changed in place; pass a clone.
    random_state : int, RandomState instance or None
        What the seeds are drawn from, as for `random_generator`.

    Returns
    -------
    estimator : estimator
        The same object.
    """
    missing = [
        name
        for name, value in sorted(estimator.get_params(deep=True).items())
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    ]
    if missing:
        generator = random_generator(random_state)
        largest = np.iinfo(np.int32).max
        estimator.set_params(**{name: int(generator.randint(largest)) for name in missing})
    return estimator
