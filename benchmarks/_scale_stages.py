"""The stages of scale.py, each run in a process of its own; the last line of output is JSON."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from esmlearn.io import read_fasta

N_SPLITS = 5
MODEL = "esmlearn_mini_v3"


def dedup(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Remove what is near-identical."""
    from esmlearn.clustering import deduplicate

    found = deduplicate(sequences(folder), identity=0.95, n_jobs=options.threads)
    return {"n_kept": len(found.indices), "engine": found.description["engine"]}


def graph(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Search all against all; the graph goes into the cache, where the folds find it."""
    from esmlearn.clustering import homology_graph

    found = homology_graph(sequences(folder), engine=options.engine, n_jobs=options.threads)
    about = {name: found.description[name] for name in ("engine", "version")}
    return {"n_edges": found.n_edges, **about}


def folds(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make homology folds from the graph."""
    from esmlearn.clustering import count_searches

    before = count_searches()
    pairs, about = _homology_folds(sequences(folder), options)
    assert count_searches() == before, "the graph was not found in the cache"
    return {**_keep(pairs, folder, f"folds-{options.engine}"), **about}


def linclust(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Deal whole clusters of MMseqs2's linear-time clustering to folds."""
    from esmlearn.clustering import cluster_sequences

    labels = cluster_sequences(
        sequences(folder), method="linclust", identity=0.3, n_jobs=options.threads
    )
    fold = np.random.default_rng(0).permutation(labels.max() + 1)[labels] % N_SPLITS
    pairs = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(N_SPLITS)]
    return {**_keep(pairs, folder, "folds-linclust"), "n_clusters": int(labels.max()) + 1}


def representatives(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make homology folds of the representatives of linear-time clusters; members go with them."""
    from esmlearn.clustering import cluster_sequences

    proteins = sequences(folder)
    labels = cluster_sequences(proteins, method="linclust", identity=0.5, n_jobs=options.threads)
    order = np.lexsort((-np.array([len(p) for p in proteins]), labels))
    chosen = order[np.unique(labels[order], return_index=True)[1]]  # the longest of each cluster
    pairs, about = _homology_folds([proteins[i] for i in chosen], options)
    members = [tuple(np.flatnonzero(np.isin(labels, rows)) for rows in pair) for pair in pairs]
    kept = _keep(members, folder, f"folds-representatives-{options.engine}")
    return {**kept, "n_representatives": len(chosen), **about}


Pairs = list[tuple[np.ndarray, ...]]


def _homology_folds(
    proteins: list[str], options: argparse.Namespace
) -> tuple[Pairs, dict[str, Any]]:
    from esmlearn.model_selection import CDHitGroupSplitter

    splitter = CDHitGroupSplitter(
        N_SPLITS, engine=options.engine, random_state=0, n_jobs=options.threads
    )
    pairs = list(splitter.split(proteins))
    about = splitter.description_
    return pairs, {name: about[name] for name in ("n_components", "largest_component", "n_cut")}


def _keep(pairs: Pairs, folder: Path, name: str) -> dict[str, Any]:
    """Write folds for the audit, and tell how much of the rows they use."""
    np.savez(folder / f"{name}.npz", *[rows for pair in pairs for rows in pair])
    n = len(sequences(folder))
    kept = [len(train) / (n - len(test)) for train, test in pairs]
    tested = sum(len(test) for _, test in pairs) / n
    return {"tested": tested, "training_kept": float(np.mean(kept))}


def audit(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Align a sample of the test rows with all training rows."""
    return _audit(options, folder, f"folds-{options.engine}")


def audit_linclust(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Do so with folds of linear-time clusters."""
    return _audit(options, folder, "folds-linclust")


def audit_representatives(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Do so with folds of representatives."""
    return _audit(options, folder, f"folds-representatives-{options.engine}")


def _audit(options: argparse.Namespace, folder: Path, name: str) -> dict[str, Any]:
    from esmlearn.model_selection import audit_leakage

    stored = np.load(folder / f"{name}.npz")
    rows = [stored[key] for key in stored.files]
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    report = audit_leakage(
        sequences(folder), pairs, engine="exact", n_sample=options.sample, n_jobs=options.threads
    )
    return {"n_audited": options.sample, "leaking_A": report.overall("A")}


def embed(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Embed a FASTA file into an array on disk."""
    return _embed(folder, options.threads)


def embed_tiny(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Embed it with a network of one layer, so that what is not the network shows."""
    from esmlearn.embedding import write_untrained_checkpoint

    path = write_untrained_checkpoint(folder / "tiny.pt", n_layers=1, width=16, n_heads=2)
    return _embed(folder, options.threads, path)


def embed_again(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Embed it again: all vectors are in the cache."""
    about = _embed(folder, options.threads)
    assert about["n_computed"] == 0, "the cache was not used"
    return about


def _embed(folder: Path, threads: int, model: str | Path = MODEL) -> dict[str, Any]:
    from threadpoolctl import threadpool_limits

    from esmlearn.embedding import ESMEmbedder, embed_fasta

    embedder = ESMEmbedder(model, device="cpu")
    with threadpool_limits(threads):
        _, vectors = embed_fasta(folder / "in.fasta", folder / "out.npy", embedder=embedder)
    return {"model": Path(model).stem, "shape": vectors.shape, "n_computed": embedder.n_computed_}


def sequences(folder: Path) -> list[str]:
    """Return the proteins of a size."""
    found: list[str] = read_fasta(folder / "in.fasta")["sequence"].tolist()
    return found


STAGES: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    stage.__name__: stage
    for stage in (
        dedup,
        graph,
        folds,
        audit,
        embed,
        embed_again,
        embed_tiny,
        linclust,
        audit_linclust,
        representatives,
        audit_representatives,
    )
}


def search_in(mode: str) -> None:
    """Fix DIAMOND's mode, which goes by size otherwise: growth is told in one."""
    from esmlearn.clustering import _search

    _search.ULTRA_SENSITIVE_CELLS = {"very-sensitive": 0.0, "ultra-sensitive": np.inf}[mode]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--mode", default="very-sensitive")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sample", type=int, default=100)
    options = parser.parse_args()
    search_in(options.mode)
    print(json.dumps(STAGES[options.stage](options, options.folder)))


if __name__ == "__main__":
    main()
