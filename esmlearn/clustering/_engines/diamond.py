"""Search with DIAMOND, where the system has it.

Buchfink, B., Reuter, K. & Drost, H.-G. Sensitive protein alignments at tree-of-life scale using
DIAMOND. Nat. Methods 18, 366-368 (2021).
"""

from pathlib import Path

from esmlearn.clustering._engines.base import ProgramEngine
from esmlearn.clustering._engines.hits import SEARCH_SPACE_RESIDUES, Hits, lengths_of
from esmlearn.clustering._engines.programs import Program, write_fasta
from esmlearn.utils._scratch import working_directory

# Up to here (about 35,000 proteins) DIAMOND takes a quarter of an hour of one core in the mode that
# misses a third as many homologs as the next, which takes a quarter of that.
ULTRA_SENSITIVE_CELLS = 7e13
_SENSITIVITIES = ("ultra-sensitive", "very-sensitive")
# DIAMOND corrects the lengths for edge effects; hits are filtered by our E-value afterwards.
_EVALUE_SLACK = 100.0


class Diamond(ProgramEngine):
    """DIAMOND ``blastp`` without masking and without composition-based scores.

    Parameters
    ----------
    sensitivity : str, default="ultra-sensitive"
        One of DIAMOND's modes.
    """

    name = "diamond"
    program = Program(
        "diamond",
        install="apt-get install diamond-aligner, or conda install -c bioconda diamond",
        version_pattern=r"diamond version (\S+)",
    )
    columns = ("qseqid", "sseqid", "score", "nident", "length", "qstart", "qend", "sstart", "send")

    def __init__(self, sensitivity: str = _SENSITIVITIES[0]) -> None:
        super().__init__()
        self.sensitivity = sensitivity

    @classmethod
    def for_size(cls, cells: float) -> "Diamond":
        """Return the most sensitive mode up to `ULTRA_SENSITIVE_CELLS`, else the next."""
        return cls(_SENSITIVITIES[int(cells > ULTRA_SENSITIVE_CELLS)])

    @classmethod
    def variants(cls) -> list["Diamond"]:
        """Return the two modes, most sensitive first."""
        return [cls(sensitivity) for sensitivity in _SENSITIVITIES]

    @property
    def settings(self) -> dict[str, object]:
        """Options that change the result."""
        return {"mode": self.sensitivity, "--masking": 0, "--comp-based-stats": 0, "-k": 0}

    def search(
        self, queries: list[str], targets: list[str] | None, *, evalue: float, n_threads: int
    ) -> Hits:
        """Return the significant alignments that DIAMOND's seeds lead to."""
        with working_directory() as directory:
            query_path, table_path = directory / "queries.fasta", directory / "hits.tsv"
            write_fasta(queries, query_path)
            target_path = query_path
            if targets is not None:
                target_path = directory / "targets.fasta"
                write_fasta(targets, target_path)
            words: list[str | Path] = ["blastp", "-q", query_path, "-d", target_path]
            words += ["-o", table_path, f"--{self.sensitivity}", "-k", "0", "--masking", "0"]
            words += ["--comp-based-stats", "0", "--dbsize", str(SEARCH_SPACE_RESIDUES)]
            words += ["-e", f"{evalue * _EVALUE_SLACK:.6g}", "-p", str(n_threads)]
            # Peptides of A, C, G and T alone are proteins all the same.
            words += ["--ignore-warnings", "--quiet", "--tmpdir", directory]
            cells = float(lengths_of(queries).sum()) * float(lengths_of(targets or queries).sum())
            self.run(*words, "--outfmt", "6", *self.columns, cells=cells)
            return self.read_hits(table_path, queries, targets, evalue)
