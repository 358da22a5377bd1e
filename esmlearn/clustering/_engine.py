"""What a search engine is: proteins in, significant local alignments out."""

from abc import ABC, abstractmethod

from esmlearn.clustering._hits import Hits

# The engines do not know the same letters; these stand for the residue that is chemically closest.
# X is left to the engine, which scores it as a mismatch.
_COMMON_LETTERS = str.maketrans("BJOUZ", "DLKCE")


def to_common_alphabet(sequences: list[str]) -> list[str]:
    """Replace B J O U Z by D L K C E, which every engine scores alike."""
    return [sequence.translate(_COMMON_LETTERS) for sequence in sequences]


class Engine(ABC):
    """A way to find local alignments between proteins.

    Attributes
    ----------
    name : str
        The name by which users choose it.
    exact : bool
        Whether it finds every significant pair.
    """

    name: str
    exact: bool

    @property
    @abstractmethod
    def version(self) -> str:
        """Version of the program or library."""

    @property
    @abstractmethod
    def settings(self) -> dict[str, object]:
        """Whatever changes what is found; part of the key of cached graphs."""

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
            direction of a pair may be missing and self-hits may be there.
        evalue : float
            Largest E-value, as of :func:`esmlearn.clustering._hits.expect_values`.
        n_threads : int
            Number of threads; does not change the result.

        Returns
        -------
        hits : Hits
            In any order.
        """
