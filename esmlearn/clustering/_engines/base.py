"""Base classes of search engines: proteins in, significant local alignments out."""

import re
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from esmlearn.clustering._engines.hits import Hits, known_lengths, lengths_of
from esmlearn.clustering._engines.programs import (
    Program,
    check_range,
    read_table,
    run_program,
    seconds_for,
)

# The engines do not know the same letters; these are replaced by the chemically closest residue.
# X is left to the engine, which scores it as a mismatch.
_COMMON_LETTERS = str.maketrans("BJOUZ", "DLKCE")
# A longer run of X would cost an alignment more than the residues around it are worth, so that the
# parts of two copies would be aligned one by one.
_LONGEST_UNKNOWN = 10
_UNKNOWN = re.compile(f"X{{{_LONGEST_UNKNOWN + 1},}}")


def to_common_alphabet(sequences: list[str]) -> list[str]:
    """Replace B J O U Z by D L K C E, which every engine scores alike, and shorten runs of X."""
    return [_UNKNOWN.sub("X" * _LONGEST_UNKNOWN, s.translate(_COMMON_LETTERS)) for s in sequences]


class Engine(ABC):
    """A way to find local alignments between proteins; made without arguments.

    Attributes
    ----------
    name : str
        The name by which users choose it.
    exact : bool
        Whether it finds every significant pair.
    """

    name: ClassVar[str]
    exact: ClassVar[bool] = False

    @classmethod
    def for_size(cls, cells: float) -> Self:
        """Return the engine with the settings for a search of so many residue pairs."""
        return cls()

    @classmethod
    def variants(cls) -> list[Self]:
        """Return the engine in each setting that `for_size` may choose, most sensitive first."""
        return [cls()]

    @classmethod
    def found(cls) -> Path | None:
        """Return the path of its program, working or not; None where it has none."""
        return None

    @classmethod
    @abstractmethod
    def available(cls) -> str | None:
        """Return the version (and path) of the engine, or None where it cannot run."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Version of the program or library, part of the key of cached graphs."""

    @property
    @abstractmethod
    def settings(self) -> dict[str, object]:
        """All settings that change the result, part of the key of cached graphs."""

    @abstractmethod
    def search(
        self, queries: list[str], targets: list[str] | None, *, evalue: float, n_threads: int
    ) -> Hits:
        """Return the alignments with an E-value of at most `evalue`.

        Parameters
        ----------
        queries : list of str
            Canonical sequences in the common alphabet.
        targets : list of str or None
            The same for the targets; None searches the queries against themselves, where either
            direction of a pair may be missing. An engine that is not exact finds each protein with
            itself, which shows that it did its work.
        evalue : float
            Largest E-value, as of :func:`esmlearn.clustering._engines.hits.expect_values`.
        n_threads : int
            Number of threads; does not change the result.

        Returns
        -------
        hits : Hits
            In any order.
        """


# Columns of the tables of alignments, in the order of `ProgramEngine.columns`.
_COUNTS = ("query", "target", "score", "matches", "columns")
_ENDS = ("query_start", "query_end", "target_start", "target_end")


class ProgramEngine(Engine):
    """An engine that runs an external program.

    Attributes
    ----------
    program : Program
        The program.
    columns : tuple of str
        The program's names of query, target, raw score, identical residues, alignment columns, and
        first and last aligned residue of the query and of the target.
    """

    program: ClassVar[Program]
    columns: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self.path = self.program.require()

    @classmethod
    def found(cls) -> Path | None:
        """Return the path of its program, working or not."""
        return cls.program.find()

    @classmethod
    def available(cls) -> str | None:
        """Return the version and path of the program, or None where it does not run."""
        return cls.program.available()

    @property
    def version(self) -> str:
        """Version that the program states."""
        return self.program.version(self.path)

    def run(self, *words: str | Path, cells: float = 0.0) -> None:
        """Run the program with these arguments on so many residue pairs."""
        run_program([self.path, *words], version=self.version, limit_s=seconds_for(cells))

    def read_hits(
        self, path: Path, queries: list[str], targets: list[str] | None, evalue: float
    ) -> Hits:
        """Return the significant alignments of a table that has `columns`."""
        table = read_table(path, _COUNTS + _ENDS, writer=self.name)
        spans, unknown, known = {}, {}, {}
        for side, sequences in (("query", queries), ("target", targets or queries)):
            rows, start, end = (table[name] for name in (side, f"{side}_start", f"{side}_end"))
            check = partial(check_range, path=path, writer=self.name)
            check(side, rows, 0, len(sequences) - 1)
            check(f"{side}_start", start, 1, end)
            check(f"{side}_end", end, 1, lengths_of(sequences)[rows])
            known[side] = known_lengths(sequences)
            unknown[side] = np.zeros(len(rows), dtype=np.int64)
            some = np.flatnonzero((known[side] < lengths_of(sequences))[rows])
            for i in some.tolist():
                unknown[side][i] = sequences[rows[i]].count("X", start[i] - 1, end[i])
            spans[side] = end - start + 1 - unknown[side]
        check_range("matches", table["matches"], 0, table["columns"], path=path, writer=self.name)
        # Programs count a column of two X as identical. Where both have X, these are taken to face
        # each other; proteins with many are aligned exactly instead.
        both = np.minimum(unknown["query"], unknown["target"])
        hits = Hits.from_alignments(
            query=table["query"],
            target=table["target"],
            score=table["score"],
            matches=np.maximum(table["matches"] - both, 0),
            columns=table["columns"] - np.maximum(unknown["query"], unknown["target"]),
            query_span=spans["query"],
            target_span=spans["target"],
            query_lengths=known["query"],
            target_lengths=known["target"],
        )
        return hits.take(hits.evalue <= evalue)
