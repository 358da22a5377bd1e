"""Reading compressed files as a stream of bounded cost, whoever made them."""

import io
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import IO, Any

from esmlearn.exceptions import DataError
from esmlearn.utils._optional import import_optional

COMPRESSED_SUFFIXES = (".gz", ".zst")

# Proteins shrink to a half or a third, repetitive tables to a fiftieth; bombs to a thousandth.
_MAX_EXPANSION = 300
_ALWAYS_ALLOWED = 1 << 26  # bytes
_FEED = 1024  # compressed bytes at a time: even the worst of them unpack to some 30 MB
_LINE_END = re.compile(rb"[\r\n]")
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


def compression_of(path: Path) -> str | None:
    """Return ``"gzip"``, ``"zstd"`` or None, by the first bytes of a file."""
    with open(path, "rb") as raw:
        start = raw.read(4)
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)


@contextmanager
def open_bytes(path: Path, *, max_line: int | None) -> Iterator[IO[bytes]]:
    """Open a file, unpacked, that refuses to unpack to nonsense.

    Parameters
    ----------
    path : Path
        An existing file, plain or compressed with gzip or zstd.
    max_line : int or None
        Longest line in bytes; None sets no limit.

    Yields
    ------
    handle : binary file
        Raises DataError where a limit is passed or the file is damaged.
    """
    kind = compression_of(path)
    with open(path, "rb") as raw:
        if kind == "gzip":
            source: Any = GzipFile(fileobj=raw, mode="rb")
        elif kind == "zstd":
            source = _Zstd(raw, path)
        else:
            source = raw
        limit = None if kind is None else _ALWAYS_ALLOWED
        if limit is not None:
            limit = max(limit, _MAX_EXPANSION * os.fstat(raw.fileno()).st_size)
        bounded = _Bounded(source.readinto, path, max_bytes=limit, max_line=max_line)
        with io.BufferedReader(bounded, 1 << 16) as handle:
            yield handle


class _Bounded(io.RawIOBase):
    """Passes bytes on, and counts them."""

    def __init__(
        self,
        readinto: Callable[[Any], int],
        path: Path,
        *,
        max_bytes: int | None,
        max_line: int | None,
    ) -> None:
        self._readinto, self._path = readinto, path
        self._max_bytes, self._max_line = max_bytes, max_line
        self._n_bytes = self._line = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            number = self._readinto(buffer)
        except (BadGzipFile, zlib.error, EOFError) as error:
            raise DataError(
                f"{self._path} is a damaged gzip file ({error}); copy it again."
            ) from error
        self._n_bytes += number
        if self._max_bytes is not None and self._n_bytes > self._max_bytes:
            raise DataError(
                f"{self._path} unpacks to more than {self._max_bytes} bytes, "
                f"{_MAX_EXPANSION} times its size; proteins do not shrink so far. Unpack it "
                f"yourself if it is what it should be."
            )
        if self._max_line is not None:
            self._check_line(bytes(memoryview(buffer)[:number]), self._max_line)
        return number

    def _check_line(self, block: bytes, limit: int) -> None:
        lines = _LINE_END.split(block) if len(block) + self._line > limit else None
        if lines is not None and max(self._line + len(lines[0]), *map(len, lines)) > limit:
            raise DataError(
                f"{self._path} has a line of more than {limit} bytes; expected a table with one "
                f"row per protein."
            )
        end = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._line = len(block) - end - 1 + (self._line if end < 0 else 0)


class _Zstd:
    """Unpacks zstd frames one after the other, and notices one that was cut off."""

    def __init__(self, raw: IO[bytes], path: Path) -> None:
        self._raw, self._path = raw, path
        self._library = import_optional("zstandard", extra="zstd", purpose="Reading zstd files")
        self._ready = memoryview(b"")
        self._frame: Any = None
        self._left = b""

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            packed = self._left or self._raw.read(_FEED)
            self._left = b""
            if not packed:
                if self._frame is not None:
                    raise self._damaged("it ends too early")
                return 0
            self._ready = memoryview(self._unpack(packed))
        number = min(len(buffer), len(self._ready))
        buffer[:number] = self._ready[:number]
        self._ready = self._ready[number:]
        return number

    def _unpack(self, packed: bytes) -> bytes:
        if self._frame is None:
            self._frame = self._library.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        try:
            unpacked = self._frame.decompress(packed)
        except self._library.ZstdError as error:
            raise self._damaged(str(error)) from error
        if self._frame.eof:
            self._left, self._frame = self._frame.unused_data, None
        return bytes(unpacked)

    def _damaged(self, how: str) -> DataError:
        return DataError(f"{self._path} is a damaged zstd file ({how}); copy it again.")
