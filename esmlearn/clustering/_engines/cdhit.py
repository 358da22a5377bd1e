"""CD-HIT's greedy clusters, as published recipes make them.

Fu, L., Niu, B., Zhu, Z., Wu, S. & Li, W. CD-HIT: accelerated for clustering the next-generation
sequencing data. Bioinformatics 28, 3150-3152 (2012).
"""

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esmlearn.clustering._engines.programs import (
    Program,
    check_all_listed,
    check_complete,
    run_program,
    seconds_for,
    write_fasta,
)
from esmlearn.exceptions import DataError, EngineError
from esmlearn.utils._scratch import working_directory

CDHIT = Program(
    "cd-hit",
    install="apt-get install cd-hit, or conda install -c bioconda cd-hit",
    version_pattern=r"CD-HIT version (\S+)",
    # cd-hit has no version command: its help states it and exits with 1.
    version_arguments=("-h",),
    version_codes=(0, 1),
)
# CD-HIT's guide: the longest word that two proteins of that identity are bound to share.
_WORD_LENGTHS = ((0.7, 5), (0.6, 4), (0.5, 3), (0.4, 2))
LEAST_IDENTITY = _WORD_LENGTHS[-1][0]
_CLUSTER_LINE = re.compile(r"^\d+\t\d+(?:aa|nt), >(\S+?)\.\.\. (\*|at .+)$")


def word_length(identity: float) -> int:
    """Return CD-HIT's word length ``-n`` for an identity threshold.

    Raises
    ------
    DataError
        Below 0.4, which CD-HIT's short-word filter does not reach.
    """
    for least, length in _WORD_LENGTHS:
        if identity >= least:
            return length
    raise DataError(
        f"CD-HIT clusters at an identity of {LEAST_IDENTITY} or more; got {identity}. Below that "
        f"use method='components' (connected components of the homology graph), 'mmseqs' or "
        f"'linclust'."
    )


def cdhit_representatives(
    sequences: list[str],
    *,
    identity: float,
    coverage: float,
    coverage_mode: str = "shorter",
    accurate: bool = False,
) -> NDArray[np.int64]:
    """Cluster sequences with CD-HIT and return the representative of each.

    Parameters
    ----------
    sequences : list of str
        Distinct sequences in the common alphabet; of equally long ones the first is preferred as
        representative.
    identity : float
        Identical residues over alignment columns, 0.4-1.
    coverage : float
        Share of the shorter (or of both) that the alignment must cover, 0-1.
    coverage_mode : {"shorter", "both", "any"}, default="shorter"
        Which protein must be covered.
    accurate : bool, default=False
        Put each sequence into the most similar cluster, not into the first (``-g 1``).

    Returns
    -------
    representatives : ndarray of int of shape (n_sequences,)
        Index of the longest sequence of each one's cluster. Sequences shorter than the word
        length, which CD-HIT cannot take, represent themselves.
    """
    word = word_length(identity)
    path = CDHIT.require()
    representatives = np.arange(len(sequences))
    long_enough = np.flatnonzero([len(s) >= word for s in sequences])
    if len(long_enough) == 0:
        return representatives
    with working_directory() as directory:
        fasta, output = directory / "sequences.fasta", directory / "clusters"
        write_fasta([sequences[i] for i in long_enough], fasta)
        covered = {"shorter": ["-aS"], "both": ["-aS", "-aL"], "any": []}[coverage_mode]
        command: list[str | Path] = [path, "-i", fasta, "-o", output]
        command += ["-c", f"{identity:g}", "-n", str(word)]
        # -l: nothing is dropped for being short; -d 0: whole ids; -M 0: no memory limit; one
        # thread, because more make the clusters depend on timing.
        command += ["-l", str(word - 1), "-d", "0", "-M", "0", "-T", "1", "-G", "0"]
        command += [word for option in covered for word in (option, f"{coverage:g}")]
        command += ["-g", "1" if accurate else "0"]
        limit_s = seconds_for(float(sum(map(len, sequences))) ** 2)
        run_program(command, version=CDHIT.version(path), limit_s=limit_s)
        found = read_clstr(output.with_suffix(".clstr"), len(long_enough))
    representatives[long_enough] = long_enough[found]
    return representatives


def _check_index(text: str, n_sequences: int, where: str) -> int:
    index = int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else -1
    if not 0 <= index < n_sequences:
        raise EngineError(f"{where}: unknown sequence {text!r}; expected 0-{n_sequences - 1}.")
    return index


def read_clstr(
    path: str | os.PathLike[str], n_sequences: int, *, writer: str = "cd-hit"
) -> NDArray[np.int64]:
    """Read a CD-HIT ``.clstr`` file whose sequences are called 0, 1, 2, ...

    Parameters
    ----------
    path : path-like
        The file.
    n_sequences : int
        How many sequences went in; each must be in exactly one cluster.
    writer : str, default="cd-hit"
        The program that wrote it, for messages.

    Returns
    -------
    representatives : ndarray of int of shape (n_sequences,)
        Index of the sequence that represents each one's cluster.

    Raises
    ------
    EngineError
        If a line is malformed, a sequence is unknown, missing or listed twice, or a cluster has
        not exactly one representative.
    """
    path = Path(path)
    check_complete(path, writer)
    representatives = np.full(n_sequences, -1, dtype=np.int64)
    members: list[int] = []
    chosen: list[int] = []
    seen = np.zeros(n_sequences, dtype=bool)

    def close(where: str) -> None:
        if members and len(chosen) != 1:
            raise EngineError(f"{where}: a cluster has {len(chosen)} representatives; expected 1.")
        if members:
            representatives[members] = chosen[0]
        members.clear()
        chosen.clear()

    number = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            where = f"{writer}: line {number} of {path.name}"
            if line.startswith(">Cluster "):
                close(where)
                continue
            match = _CLUSTER_LINE.match(line.rstrip("\n"))
            if match is None:
                raise EngineError(f"{where} is {line.rstrip()[:200]!r}; expected a .clstr line.")
            index = _check_index(match[1], n_sequences, where)
            if seen[index]:
                raise EngineError(f"{where}: sequence {index} is listed twice.")
            seen[index] = True
            members.append(index)
            if match[2] == "*":
                chosen.append(index)
    close(f"{writer}: end of {path.name}")
    check_all_listed(seen, writer, path)
    return representatives
