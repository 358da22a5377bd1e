"""Files of one vector per protein, written block by block."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from esmlearn.exceptions import DataError
from esmlearn.io._tables import quoting_of
from esmlearn.utils._optional import import_optional
from esmlearn.utils._paths import atomic_write

#: Formats of files of vectors, by suffix.
VECTOR_SUFFIXES = (".npy", ".parquet", ".h5", ".csv", ".tsv")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_CHUNK = 1 << 20  # bytes, of HDF5


class VectorWriter(Protocol):
    """Takes the next proteins."""

    def write(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """Append vectors of shape (n, width) under their ids."""


def check_vector_path(path: Path) -> None:
    """Refuse a name whose format is unknown, or whose library is missing.

    Parameters
    ----------
    path : Path
        File to write.

    Raises
    ------
    DataError
        If the suffix is unknown.
    EngineNotFoundError
        If the format needs a library that is not installed.
    """
    if path.suffix not in VECTOR_SUFFIXES:
        raise DataError(f"{path} has no known suffix; expected {', '.join(VECTOR_SUFFIXES)}.")
    if path.suffix == ".h5":
        import_optional("h5py", extra="hdf5", purpose="Writing HDF5")
    if path.suffix == ".parquet":
        import_optional("pyarrow", extra="parquet", purpose="Writing parquet")


def ids_path(path: Path) -> Path:
    """Return the name of the table of ids beside an array."""
    return path.with_suffix(".ids.csv")


@contextmanager
def open_vectors(
    path: Path, *, n_rows: int, features: Sequence[str], kind: str | None = None
) -> Iterator[VectorWriter]:
    """Open a file of vectors that appears under its name when it is complete.

    Parameters
    ----------
    path : Path
        The file. An array (``.npy``) gets a table of ids beside it.
    n_rows : int
        Proteins that will be written.
    features : sequence of str
        Names of the columns.
    kind : str, default=None
        The format; None is the file's suffix.

    Yields
    ------
    writer : VectorWriter
        Write here.
    """
    openers = {".npy": _open_npy, ".h5": _open_h5, ".parquet": _open_parquet}
    opener = openers.get(kind or path.suffix, _open_text)
    with opener(path, n_rows, list(features)) as writer:
        counted = _Counted(writer)
        yield counted
        if counted.n_rows != n_rows:
            raise DataError(
                f"{path}: {counted.n_rows} proteins came, {n_rows} were announced; was the input "
                f"changed meanwhile? Run it again."
            )


class _Counted:
    def __init__(self, writer: VectorWriter) -> None:
        self._writer, self.n_rows = writer, 0

    def write(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        self._writer.write(ids, np.ascontiguousarray(vectors, dtype="<f4"))
        self.n_rows += len(ids)


class _Function:
    """A writer made of a function."""

    def __init__(self, write: Any) -> None:
        self.write = write


@contextmanager
def _open_npy(path: Path, n_rows: int, features: list[str]) -> Iterator[VectorWriter]:
    header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, len(features))}
    with ExitStack() as stack:
        array = stack.enter_context(open(stack.enter_context(atomic_write(path)), "wb"))
        # the ids appear first: whoever sees the array has them
        temporary = stack.enter_context(atomic_write(ids_path(path)))
        names = stack.enter_context(open(temporary, "w", encoding="utf-8", newline=""))
        pd.DataFrame(columns=["id"]).to_csv(names, index=False, lineterminator="\n")
        np.lib.format.write_array_header_1_0(array, header)

        def write(ids: Sequence[str], vectors: np.ndarray) -> None:
            array.write(memoryview(vectors).cast("B"))
            rows = pd.DataFrame({"id": list(ids)})
            rows.to_csv(
                names, index=False, header=False, lineterminator="\n", quoting=quoting_of(rows)
            )

        yield _Function(write)


@contextmanager
def _open_h5(path: Path, n_rows: int, features: list[str]) -> Iterator[VectorWriter]:
    h5py = import_optional("h5py", extra="hdf5", purpose="Writing HDF5")
    width = len(features)
    chunk = min(max(1, _CHUNK // (4 * width)), n_rows)
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        array = file.create_dataset(
            "embedding", (n_rows, width), dtype="<f4", chunks=(chunk, width)
        )
        names = file.create_dataset("id", (n_rows,), dtype=h5py.string_dtype())
        done = 0

        def write(ids: Sequence[str], vectors: np.ndarray) -> None:
            nonlocal done
            array[done : done + len(ids)], names[done : done + len(ids)] = vectors, list(ids)
            done += len(ids)

        yield _Function(write)


@contextmanager
def _open_parquet(path: Path, n_rows: int, features: list[str]) -> Iterator[VectorWriter]:
    pyarrow = import_optional("pyarrow", extra="parquet", purpose="Writing parquet")
    parquet = import_optional("pyarrow.parquet", extra="parquet", purpose="Writing parquet")
    fields = [("id", pyarrow.string()), *((name, pyarrow.float32()) for name in features)]
    schema = pyarrow.schema(fields)
    with atomic_write(path) as temporary, parquet.ParquetWriter(temporary, schema) as file:

        def write(ids: Sequence[str], vectors: np.ndarray) -> None:
            columns = [list(ids), *np.ascontiguousarray(vectors.T)]
            file.write_table(pyarrow.table(columns, schema=schema))

        yield _Function(write)


@contextmanager
def _open_text(path: Path, n_rows: int, features: list[str]) -> Iterator[VectorWriter]:
    with (
        atomic_write(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        first = True

        def write(ids: Sequence[str], vectors: np.ndarray) -> None:
            nonlocal first
            table = pd.DataFrame(vectors, columns=features)
            table.insert(0, "id", list(ids))
            table.to_csv(
                file,
                sep=_SEPARATORS[path.suffix],
                index=False,
                header=first,
                lineterminator="\n",
                quoting=quoting_of(table),
            )
            first = False

        yield _Function(write)


class IdFile(Sequence[str]):
    """The ids beside an array of vectors, read when they are asked for.

    Parameters
    ----------
    path : Path
        Table with the one column ``id``.
    n_rows : int
        Its rows.
    """

    def __init__(self, path: Path, n_rows: int) -> None:
        self.path, self._n_rows = path, n_rows
        self._offsets: np.ndarray | None = None

    def __len__(self) -> int:
        return self._n_rows

    def __repr__(self) -> str:
        return f"IdFile({str(self.path)!r}, {self._n_rows})"

    def __iter__(self) -> Iterator[str]:
        with open(self.path, encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            yield from (row[0] for row in rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(self._n_rows)[index]
        if self._offsets is None:
            with open(self.path, "rb") as binary:
                ends = np.fromiter((len(line) for line in binary), np.int64).cumsum()
            self._offsets = ends[:-1]
        with open(self.path, encoding="utf-8", newline="") as file:
            file.seek(int(self._offsets[position]))
            return next(csv.reader(file))[0]
