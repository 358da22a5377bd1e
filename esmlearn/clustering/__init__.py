"""Homology between proteins: search engines, the homology graph, clusters, redundancy."""

from esmlearn.clustering._build import homology_graph
from esmlearn.clustering._graph import HomologyGraph
from esmlearn.clustering._hits import Hits
from esmlearn.clustering._search import available_engines, exact_search, search
from esmlearn.clustering._store import count_searches

__all__ = [
    "Hits",
    "HomologyGraph",
    "available_engines",
    "count_searches",
    "exact_search",
    "homology_graph",
    "search",
]
