"""The nearest homolog of each protein among others."""

from typing import Any

import numpy as np
import pandas as pd

from esmlearn.clustering._engines.hits import known_lengths
from esmlearn.clustering._homology_graph import check_share
from esmlearn.clustering._nodes import canonical_sequences
from esmlearn.clustering._search import search


def nearest_homologs(
    queries: Any,
    targets: Any,
    *,
    coverage: float = 0.5,
    evalue: float = 1e-3,
    engine: str = "auto",
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Find the target with which each query shares the most identical residues.

    One search of all queries; of the significant alignments that cover enough of the shorter
    protein the one of the highest identity counts. How near the nearest protein of training is
    tells how far a prediction can be trusted.

    Parameters
    ----------
    queries, targets : array-like of str
        Protein sequences; case and gap characters do not matter.
    coverage : float, default=0.5
        Share of the shorter protein (0-1) that an alignment must cover.
    evalue : float, default=1e-3
        Largest E-value, in a search space of one million residues.
    engine : {"auto", "mmseqs", "diamond", "exact"}, default="auto"
        As for :func:`search`.
    n_jobs : int, default=None
        Number of threads; -1 for all cores.

    Returns
    -------
    table : DataFrame
        A row per query, in their order: ``query`` and ``target`` (row numbers; target is NA where
        no target is a homolog), ``identity``, ``coverage`` (of the shorter protein; both 0-1) and
        ``evalue`` (NaN where there is none).

    Raises
    ------
    DataError
        If a sequence or threshold is invalid.
    EngineNotFoundError
        If the engine is not installed.
    EngineError
        If the program fails.

    See Also
    --------
    search : All alignments.

    Examples
    --------
    >>> from esmlearn.clustering import nearest_homologs
    >>> protein = "MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ"
    >>> nearest_homologs([protein, "W" * 30], ["ACDEFGHIKL", protein[4:]])[
    ...     ["query", "target", "identity"]]
       query  target  identity
    0      0       1       1.0
    1      1    <NA>       NaN
    """
    coverage = check_share("coverage", coverage)
    texts = [
        canonical_sequences(s, name=n) for s, n in ((queries, "queries"), (targets, "targets"))
    ]
    hits = search(*texts, engine=engine, evalue=evalue, n_jobs=n_jobs)
    of_query, of_target = map(known_lengths, texts)
    query_is_shorter = of_query[hits.query] <= of_target[hits.target]
    covered = np.where(query_is_shorter, hits.coverage_query, hits.coverage_target)
    found = pd.DataFrame(
        {
            "query": hits.query,
            "target": hits.target,
            "identity": hits.identity,
            "coverage": covered,
            "evalue": hits.evalue,
        }
    )
    found = found[covered >= coverage].sort_values(
        ["query", "identity", "coverage", "evalue", "target"],
        ascending=[True, False, False, True, True],
    )
    nearest = found.drop_duplicates("query").set_index("query").reindex(range(len(texts[0])))
    nearest["target"] = nearest["target"].astype("Int64")
    return nearest.rename_axis("query").reset_index()
