"""Let one protein stand for others: greedy clusters of CD-HIT or MMseqs2, longest first."""

import numpy as np
from numpy.typing import NDArray

from esmlearn.clustering._cdhit import cdhit_representatives
from esmlearn.clustering._engine import to_common_alphabet
from esmlearn.clustering._hits import lengths_of
from esmlearn.clustering._mmseqs import mmseqs_representatives


def length_order(nodes: list[str]) -> NDArray[np.int64]:
    """Return the order longest first, equally long ones as given (by digest)."""
    return np.argsort(-lengths_of(nodes), kind="stable")


def node_representatives(
    nodes: list[str],
    *,
    identity: float,
    coverage: float,
    coverage_mode: str,
    method: str,
    greedy: bool = False,
    n_threads: int = 1,
) -> NDArray[np.int64]:
    """Return the node that represents each node's cluster, by CD-HIT or MMseqs2.

    With `greedy` the representative is the longest of its cluster, whatever the method.
    """
    order = length_order(nodes)
    prepared = to_common_alphabet([nodes[i] for i in order])
    thresholds = {"identity": identity, "coverage": coverage}
    if method == "cdhit":
        found = cdhit_representatives(
            prepared, **thresholds, coverage_mode=coverage_mode, accurate=greedy
        )
    else:
        found = mmseqs_representatives(
            prepared,
            **thresholds,
            coverage_mode=coverage_mode,
            workflow="cluster" if method == "mmseqs" else "linclust",
            longest_first=greedy,
            n_threads=n_threads,
        )
    representatives = np.empty(len(nodes), dtype=np.int64)
    representatives[order] = order[found]
    return representatives
