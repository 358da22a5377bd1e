"""Digests of sequences side by side: 60,000 of them as Python's bytes cost more than reading."""

from collections.abc import Iterator, Sequence
from weakref import ref

import numpy as np

DIGEST_BYTES = 16


class Digests:
    """Digests of sequences, which do not change.

    Two of the same content are different objects: what was found for one is remembered for it.

    Parameters
    ----------
    content : bytes
        The digests, one behind the other.
    request : bytes, default=b""
        Digest of the request that they are of, where one that comes again in another process is to
        be known again.

    Attributes
    ----------
    request : bytes
        As given.
    part_of : tuple of (weakref of Digests, ndarray of int) or None
        Those of which these are a part, and where each is among them.
    """

    __slots__ = ("__weakref__", "_content", "part_of", "request", "words")

    #: The two halves of each digest as numbers that sort as the bytes do; uint64 of shape (n, 2).
    words: np.ndarray

    def __init__(self, content: bytes, *, request: bytes = b"") -> None:
        if len(content) % DIGEST_BYTES:
            raise ValueError(f"{len(content)} bytes are no digests of {DIGEST_BYTES} bytes each")
        self._content = np.frombuffer(content, dtype=f"V{DIGEST_BYTES}")
        self.words = self._content.view(">u8").reshape(-1, 2).astype(np.uint64)
        self.request = request
        self.part_of: tuple[ref[Digests], np.ndarray] | None = None

    @classmethod
    def of(cls, digests: "Sequence[bytes] | Digests") -> "Digests":
        """Return digests that may have come as a sequence of bytes."""
        return digests if isinstance(digests, cls) else cls(b"".join(digests))

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.tolist())

    def __getitem__(self, rows: Sequence[int] | np.ndarray | slice) -> "Digests":
        return Digests(self._content[rows].tobytes())

    def part(self, rows: np.ndarray, *, request: bytes = b"") -> "Digests":
        """Return some of these digests, which remember where they come from while that is there."""
        chosen = Digests(self._content[rows].tobytes(), request=request)
        chosen.part_of = ref(self), rows
        return chosen

    def followed_by(self, content: bytes) -> "Digests":
        """Return these digests and then others, which lie one behind the other."""
        return Digests(self.tobytes() + content)

    def tobytes(self) -> bytes:
        """Return them one behind the other."""
        return self._content.tobytes()

    def tolist(self) -> list[bytes]:
        """Return them as bytes each, as SQLite wants them."""
        content: list[bytes] = self._content.tolist()
        return content
