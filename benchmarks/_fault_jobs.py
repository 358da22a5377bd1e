"""The jobs that faults.py kills, and how each is told right from wrong."""

import csv
import filecmp
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from esmlearn.cli import main as esmlearn
from esmlearn.embedding import EmbeddingCache, ESMEmbedder, write_untrained_checkpoint
from esmlearn.io import read_fasta, write_fasta

MODEL = "esmlearn_mini_v3"
TOLERANCE = 1e-5
_LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


@dataclass(frozen=True)
class Job:
    """Something to run in a workspace, again and again until it ends.

    Attributes
    ----------
    run : callable
        Takes the workspace; goes on where an earlier run in it was killed.
    outputs : tuple of str
        Files that must be those of an undisturbed run, byte for byte, or not be there.
    vectors : bool
        Whether it fills an embedding cache, which is then compared as well.
    """

    run: Callable[[Path], Any]
    outputs: tuple[str, ...] = ()
    vectors: bool = False


def families(n_families: int, members: int, length: int, seed: int = 0) -> list[str]:
    """Return made-up proteins, related inside a family."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_families):
        ancestor = rng.choice(_LETTERS, length + int(rng.integers(length)))
        for _ in range(members):
            changed = rng.random(len(ancestor)) < 0.3
            rows.append(np.where(changed, rng.choice(_LETTERS, len(ancestor)), ancestor))
    return ["".join(row) for row in rows]


def write_inputs(folder: Path, size: int) -> None:
    """Write what the jobs read; `size` scales how long they take."""
    proteins = families(2 * size, 3, 60)
    write_fasta(folder / "in.fasta", proteins, ids=[f"P{i}" for i in range(len(proteins))])
    small = families(20, 3, 60, seed=1)
    values = np.random.default_rng(0).gamma(3, 10, len(small)).round(2)
    with open(folder / "table.csv", "w", newline="") as file:
        csv.writer(file).writerows([("sequence", "tm"), *zip(small, values, strict=True)])
    write_untrained_checkpoint(folder / "esm2_tiny.pt", n_layers=2, width=32, n_heads=4)


def proteins(folder: Path) -> list[str]:
    """Return the sequences of the workspace's input."""
    return read_fasta(folder / "in.fasta")["sequence"].tolist()


# Jobs --------------------------------------------------------------------------------------------


def embed(folder: Path) -> None:
    """Embed in many small batches, each of which is stored."""
    made = _embedder(folder, batch_residues=600).transform(proteins(folder))
    with open(folder / "done.npy.part", "wb") as file:
        np.save(file, made)
    os.replace(folder / "done.npy.part", folder / "done.npy")


def embed_backwards(folder: Path) -> None:
    """Fill the same cache in another order."""
    _embedder(folder, batch_residues=400).transform(proteins(folder)[::-1])


def _embedder(folder: Path, **parameters: Any) -> ESMEmbedder:
    return ESMEmbedder(MODEL, cache=folder / "vectors", device="cpu", **parameters)


def embed_file(folder: Path) -> None:
    """Embed a FASTA file from the command line."""
    _command(folder, "embed", "in.fasta", "-o", "out.npy", "--model", MODEL, "--device", "cpu")


def cluster(folder: Path) -> None:
    """Cluster by the homology graph."""
    _command(folder, "cluster", "in.fasta", "-o", "out.csv", "--jobs", "1")


def cluster_mmseqs(folder: Path) -> None:
    """Cluster with an external program."""
    _command(folder, "cluster", "in.fasta", "-o", "out.csv", "--method", "mmseqs", "--jobs", "1")


def study(folder: Path) -> None:
    """Run a small study."""
    options = ["--target", "tm", "--model", "esm2_tiny.pt", "--folds", "3", "--regions", "45"]
    options += ["--models", "dummy,ridge", "--levels", "100", "--jobs", "1", "--out", "out"]
    _command(folder, "study", "table.csv", *options)


def _command(folder: Path, command: str, *arguments: str) -> None:
    os.chdir(folder)
    os.environ["ESMLEARN_CACHE"] = str(folder / "cache")
    os.environ["TMPDIR"] = str(folder / "tmp")
    (folder / "tmp").mkdir(exist_ok=True)
    code = esmlearn([command, "-q", *arguments])
    if code:
        raise SystemExit(code)


_STUDY = ("results.csv", "predictions.csv", "regions.csv", "folds.csv", "random_results.csv")
JOBS = {
    "embed": Job(embed, vectors=True),
    "embed_file": Job(embed_file, ("out.npy", "out.ids.csv"), vectors=True),
    "cluster": Job(cluster, ("out.csv",)),
    "cluster_mmseqs": Job(cluster_mmseqs, ("out.csv",)),
    "study": Job(study, tuple(f"out/{name}" for name in _STUDY), vectors=True),
}


# Right or wrong ----------------------------------------------------------------------------------


def committed(folder: Path) -> set[bytes]:
    """Return the digests that the index of a workspace's cache names now."""
    index = _vectors(folder) / "index.sqlite"
    if not index.exists():
        return set()
    try:
        with closing(sqlite3.connect(f"{index.as_uri()}?mode=ro", uri=True, timeout=30)) as opened:
            return {digest for (digest,) in opened.execute("SELECT digest FROM vector")}
    except sqlite3.OperationalError as error:
        if "no such table" in str(error) or "unable to open" in str(error):
            return set()  # killed, or seen, before there was anything in it
        raise


def _vectors(folder: Path) -> Path:
    own = folder / "vectors"
    return own if own.exists() else folder / "cache" / "embeddings"


def stored(folder: Path) -> dict[bytes, np.ndarray]:
    """Return every vector that a workspace's cache gives out."""
    if not (_vectors(folder) / "index.sqlite").exists():
        return {}
    with EmbeddingCache(_vectors(folder)) as cache:
        spaces = [space["fingerprint"] for space in cache.stats()["spaces"]]
        digests = sorted(committed(folder))
        found: dict[bytes, np.ndarray] = {}
        for space in spaces:
            there, read = cache.get(space, digests, width=None)
            found |= {digests[i]: read[i] for i in np.flatnonzero(there)}
        return found


def wrong_vectors(found: dict[bytes, np.ndarray], right: dict[bytes, np.ndarray]) -> int:
    """Count vectors that are not those of an undisturbed run."""
    return sum(
        digest not in right
        or len(vector) != len(right[digest])
        or not np.abs(vector - right[digest]).max() <= TOLERANCE
        for digest, vector in found.items()
    )


def wrong_outputs(folder: Path, right: Path, outputs: tuple[str, ...]) -> list[str]:
    """Return the outputs that are there and not those of an undisturbed run."""
    there = [name for name in outputs if (folder / name).exists()]
    return [name for name in there if not _equal(folder / name, right / name)]


def _equal(path: Path, right: Path) -> bool:
    if path.suffix == ".npy":
        ours, theirs = np.load(path), np.load(right)
        return ours.shape == theirs.shape and bool(np.abs(ours - theirs).max() <= TOLERANCE)
    return filecmp.cmp(path, right, shallow=False)


def n_computed(folder: Path) -> int:
    """Return how many vectors were ever stored in a workspace's cache."""
    with EmbeddingCache(_vectors(folder)) as cache:
        return cache.n_computed
