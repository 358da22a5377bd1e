"""Real, labelled proteins that lie in packages of the Python package index.

There is no ``fetch_*`` function: a download is only as good as its checksum, and none could be
verified for the data sets that need one. Read them with `esmlearn.io.read_proteins`.
"""

from esmlearn.datasets._load import load_optimum_temperature, load_subcellular_location

__all__ = ["load_optimum_temperature", "load_subcellular_location"]
