"""Search with DIAMOND, where the system has it."""

from pathlib import Path

from esmlearn.clustering._engine import Engine
from esmlearn.clustering._hits import SEARCH_SPACE_RESIDUES, Hits, lengths_of
from esmlearn.clustering._parsers import read_table
from esmlearn.clustering._programs import program_version, require_program
from esmlearn.clustering._runner import run_program, write_fasta
from esmlearn.utils._scratch import working_directory

_COLUMNS = {
    "qseqid": "query",
    "sseqid": "target",
    "score": "score",
    "nident": "matches",
    "length": "columns",
    "qstart": "query_start",
    "qend": "query_end",
    "sstart": "target_start",
    "send": "target_end",
}
# DIAMOND corrects the lengths for edge effects; hits are filtered by our E-value afterwards.
_EVALUE_SLACK = 100.0


class Diamond(Engine):
    """DIAMOND ``blastp`` without masking and without composition-based scores.

    Parameters
    ----------
    sensitivity : str, default="ultra-sensitive"
        One of DIAMOND's modes.
    """

    name = "diamond"
    exact = False

    def __init__(self, sensitivity: str = "ultra-sensitive") -> None:
        self.sensitivity = sensitivity
        self.path = require_program("diamond")

    @property
    def version(self) -> str:
        """Version that the program states."""
        return program_version("diamond", self.path)

    @property
    def settings(self) -> dict[str, object]:
        """Options that change what is found."""
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
            command: list[str | Path] = [
                self.path,
                "blastp",
                "-q",
                query_path,
                "-d",
                target_path,
                "-o",
                table_path,
            ]
            command += [f"--{self.sensitivity}", "-k", "0", "--masking", "0"]
            command += ["--comp-based-stats", "0", "--dbsize", str(SEARCH_SPACE_RESIDUES)]
            command += ["-e", f"{evalue * _EVALUE_SLACK:.6g}", "-p", str(n_threads)]
            # Peptides of A, C, G and T alone are proteins all the same.
            command += ["--ignore-warnings", "--quiet", "--tmpdir", directory]
            command += ["--outfmt", "6", *_COLUMNS]
            run_program(command, version=self.version)
            table = read_table(table_path, list(_COLUMNS.values()), what="diamond blastp")
        hits = Hits.from_alignments(
            table["query"],
            table["target"],
            table["score"],
            table["matches"],
            table["columns"],
            table["query_end"] - table["query_start"] + 1,
            table["target_end"] - table["target_start"] + 1,
            query_lengths=lengths_of(queries),
            target_lengths=lengths_of(queries if targets is None else targets),
        )
        return hits.take(hits.evalue <= evalue)
