"""CD-HIT's greedy clusters, as published recipes make them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esmlearn.clustering._parsers import read_clstr
from esmlearn.clustering._programs import program_version, require_program
from esmlearn.clustering._runner import run_program, write_fasta
from esmlearn.exceptions import DataError
from esmlearn.utils._scratch import working_directory

# CD-HIT's guide: the longest word that two proteins of that identity are bound to share.
_WORD_LENGTHS = ((0.7, 5), (0.6, 4), (0.5, 3), (0.4, 2))
LEAST_IDENTITY = _WORD_LENGTHS[-1][0]


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
    path = require_program("cd-hit")
    representatives = np.arange(len(sequences))
    long_enough = np.flatnonzero([len(s) >= word for s in sequences])
    if len(long_enough) == 0:
        return representatives
    with working_directory() as directory:
        fasta, output = directory / "sequences.fasta", directory / "clusters"
        write_fasta([sequences[i] for i in long_enough], fasta)
        covered = {"shorter": ["-aS"], "both": ["-aS", "-aL"], "any": []}[coverage_mode]
        command: list[str | Path] = [
            path,
            "-i",
            fasta,
            "-o",
            output,
            "-c",
            f"{identity:g}",
            "-n",
            str(word),
        ]
        # -l: nothing is dropped for being short; -d 0: whole ids; -M 0: no memory limit; one
        # thread, because more make the clusters depend on timing.
        command += ["-l", str(word - 1), "-d", "0", "-M", "0", "-T", "1", "-G", "0"]
        command += [word for option in covered for word in (option, f"{coverage:g}")]
        command += ["-g", "1" if accurate else "0"]
        run_program(command, version=program_version("cd-hit", path))
        found = read_clstr(output.with_suffix(".clstr"), len(long_enough))
    representatives[long_enough] = long_enough[found]
    return representatives
