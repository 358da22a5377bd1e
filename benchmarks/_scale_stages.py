"""The stages of scale.py, each run in a process of its own; the last line of output is JSON."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from esmlearn.io import read_fasta

N_SPLITS = 5
MODEL = "esmlearn_mini_v1"


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
    from esmlearn.model_selection import CDHitGroupSplitter

    before = count_searches()
    proteins = sequences(folder)
    splitter = CDHitGroupSplitter(
        N_SPLITS, engine=options.engine, random_state=0, n_jobs=options.threads
    )
    pairs = list(splitter.split(proteins))
    assert count_searches() == before, "the graph was not found in the cache"
    np.savez(folder / f"folds-{options.engine}.npz", *[rows for pair in pairs for rows in pair])
    n, kept = len(proteins), [len(train) / (len(proteins) - len(test)) for train, test in pairs]
    about = splitter.description_
    return {
        "tested": sum(len(test) for _, test in pairs) / n,
        "training_kept": float(np.mean(kept)),
        **{name: about[name] for name in ("n_components", "largest_component", "n_cut")},
    }


def audit(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Align a sample of the test rows with all training rows."""
    from esmlearn.model_selection import audit_leakage

    stored = np.load(folder / f"folds-{options.engine}.npz")
    rows = [stored[name] for name in stored.files]
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    report = audit_leakage(
        sequences(folder),
        pairs,
        engine="exact",
        n_sample=options.sample,
        n_jobs=options.threads,
    )
    return {"n_audited": options.sample, "leaking_A": report.overall("A")}


def embed(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Embed a FASTA file into an array on disk."""
    return _embed(folder, options.threads)


def embed_again(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Embed it again: all vectors are in the cache."""
    about = _embed(folder, options.threads)
    assert about["n_computed"] == 0, "the cache was not used"
    return about


def _embed(folder: Path, threads: int) -> dict[str, Any]:
    from threadpoolctl import threadpool_limits

    from esmlearn.embedding import ESMEmbedder, embed_fasta

    embedder = ESMEmbedder(MODEL, device="cpu")
    with threadpool_limits(threads):
        _, vectors = embed_fasta(folder / "in.fasta", folder / "out.npy", embedder=embedder)
    return {"model": MODEL, "shape": vectors.shape, "n_computed": embedder.n_computed_}


def sequences(folder: Path) -> list[str]:
    """Return the proteins of a size."""
    found: list[str] = read_fasta(folder / "in.fasta")["sequence"].tolist()
    return found


STAGES: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    stage.__name__: stage for stage in (dedup, graph, folds, audit, embed, embed_again)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sample", type=int, default=100)
    options = parser.parse_args()
    print(json.dumps(STAGES[options.stage](options, options.folder)))


if __name__ == "__main__":
    main()
