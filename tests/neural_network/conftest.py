import numpy as np
import pytest


@pytest.fixture(scope="session")
def table():
    """300 rows of 10 features, a number that depends on the first, and families of three rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 10))
    y = 50 + 8 * X[:, 0] + rng.normal(size=300)
    return X, y, np.arange(300) // 3


@pytest.fixture(scope="session")
def classes(table):
    _, y, _ = table
    return np.where(y > 55, "hot", np.where(y < 45, "cold", "mild"))
