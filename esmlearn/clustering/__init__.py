"""Homology between proteins: search engines, the homology graph, clusters, redundancy."""

from esmlearn.clustering._clusters import CDHitClusterer, cluster_sequences
from esmlearn.clustering._deduplicate import Deduplication, deduplicate
from esmlearn.clustering._engines.hits import Hits
from esmlearn.clustering._graph import HomologyGraph
from esmlearn.clustering._graph_cache import count_searches
from esmlearn.clustering._homology_graph import homology_graph
from esmlearn.clustering._nearest import nearest_homologs
from esmlearn.clustering._search import available_engines, exact_search, search

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
    "nearest_homologs",
    "search",
]
