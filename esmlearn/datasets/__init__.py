"""Real, labelled proteins: some lie in packages of the package index, some are downloaded once.

What is downloaded (``fetch_*``) is compared with the checksum of one commit of its repository, each
time it is read.
"""

from esmlearn.datasets._flip import (
    fetch_flip_aav,
    fetch_flip_gb1,
    fetch_flip_meltome,
    fetch_flip_scl,
)
from esmlearn.datasets._load import load_optimum_temperature, load_subcellular_location

__all__ = [
    "fetch_flip_aav",
    "fetch_flip_gb1",
    "fetch_flip_meltome",
    "fetch_flip_scl",
    "load_optimum_temperature",
    "load_subcellular_location",
]
