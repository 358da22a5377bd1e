"""Random proteins with random homology, made without a search."""

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_array

from esmlearn.clustering import HomologyGraph
from tests._proteins import random_protein


@st.composite
def graphs(draw, min_rows=12, max_rows=60):
    """Rows with copies, and a graph with precomputed edges: (sequences, y, graph)."""
    n_rows = draw(st.integers(min_rows, max_rows))
    n_distinct = draw(st.integers(n_rows // 2, n_rows))
    density = draw(st.sampled_from([0.0, 0.01, 0.03, 0.1]))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    distinct = [random_protein(8, rng) for _ in range(n_distinct)]
    sequences = [distinct[i] for i in rng.integers(0, n_distinct, n_rows)]
    i, j = np.nonzero(np.triu(rng.random((n_rows, n_rows)) < density, k=1))
    y = rng.choice(["a", "b", "c"], n_rows, p=[0.6, 0.3, 0.1])
    return sequences, y, HomologyGraph.from_edges(sequences, np.column_stack([i, j]))


def modular_graph(n_nodes, n_modules, *, inside, across, seed=0):
    """Return a connected graph of dense modules with few edges between them, and the modules."""
    rng = np.random.default_rng(seed)
    module = np.sort(rng.integers(0, n_modules, n_nodes))
    chance = np.where(module[:, None] == module, inside, across)
    upper = np.triu(rng.random((n_nodes, n_nodes)) < chance, k=1)
    upper[np.arange(n_nodes - 1), np.arange(1, n_nodes)] = True
    return csr_array(upper | upper.T), module
