"""Homology between proteins: search engines, the homology graph, clusters, redundancy."""

from esmlearn.clustering._build import homology_graph
from esmlearn.clustering._clusterer import CDHitClusterer
from esmlearn.clustering._clusters import cluster_sequences
from esmlearn.clustering._deduplicate import Deduplication, deduplicate
from esmlearn.clustering._graph import HomologyGraph
from esmlearn.clustering._hits import Hits
from esmlearn.clustering._search import available_engines, exact_search, search
from esmlearn.clustering._store import count_searches

__all__ = [
    "CDHitClusterer",
    "Deduplication",
    "Hits",
    "HomologyGraph",
    "available_engines",
    "cluster_sequences",
    "count_searches",
    "deduplicate",
    "exact_search",
    "homology_graph",
    "search",
]
