"""``esmlearn embed``."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from esmlearn.cli._common import (
    Commands,
    add_input,
    add_jobs,
    device,
    new_command,
    output_path,
    read_input,
    show,
)
from esmlearn.exceptions import DataError
from esmlearn.io import write_table
from esmlearn.utils._optional import import_optional
from esmlearn.utils._paths import atomic_write

_SUFFIXES = (".npy", ".parquet", ".h5", ".csv", ".tsv")


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = new_command(commands, "embed", "embed the proteins of a FASTA file or table")
    parser.add_argument("input", metavar="FASTA", help="FASTA file, or table of sequences")
    parser.add_argument(
        "-o", "--output", type=output_path, required=True, help=f"file: {', '.join(_SUFFIXES)}"
    )
    add_input(parser, target=False)
    parser.add_argument("--model", default="esm2_t6_8M_UR50D", help="name or checkpoint file")
    parser.add_argument("--layer", type=int, default=-1, help="layer; -1 is the last")
    parser.add_argument(
        "--pooling",
        default="mean",
        choices=["mean", "max", "bos", "mean+std"],
        help="how the vectors of the residues become one",
    )
    parser.add_argument(
        "--long",
        default="window",
        choices=["window", "truncate", "error"],
        help="proteins of more than 1022 residues: average overlapping windows, cut, or refuse",
    )
    parser.add_argument("--device", type=device, default="auto", help="cpu, cuda, mps or auto")
    add_jobs(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Embed and write."""
    from esmlearn.embedding import ESMEmbedder

    if args.output.suffix not in _SUFFIXES:
        raise DataError(f"{args.output} has no known suffix; expected {', '.join(_SUFFIXES)}.")
    if args.output.suffix == ".h5":
        import_optional("h5py", extra="hdf5", purpose="Writing HDF5")
    proteins = read_input(args)
    embedder = ESMEmbedder(
        args.model,
        layer=args.layer,
        pooling=args.pooling,
        long_sequences=args.long,
        device=args.device,
        n_jobs=None if args.jobs == -1 else args.jobs,
        verbose=int(args.verbose >= 0),
    )
    vectors = embedder.fit_transform(proteins.sequences)
    _write(args.output, proteins.ids, vectors, list(embedder.get_feature_names_out()))
    report = {
        "output": args.output,
        "shape": list(vectors.shape),
        "fingerprint": embedder.fingerprint(),
        **embedder.report_,
    }
    text = (
        f"{vectors.shape[0]} proteins x {vectors.shape[1]} features in {args.output} "
        f"({embedder.n_computed_} computed, {report['n_cached']} from the cache)"
    )
    show(args, report, text)
    return 0


def _write(path: Path, ids: np.ndarray, vectors: np.ndarray, names: list[Any]) -> None:
    """Write vectors in the format that the suffix says; .npy gets its ids in a file beside it."""
    if path.suffix == ".npy":
        with atomic_write(path) as temporary:
            np.save(temporary, vectors)
        write_table(path.with_suffix(".ids.csv"), pd.DataFrame({"id": ids}))
    elif path.suffix == ".h5":
        h5py = import_optional("h5py", extra="hdf5", purpose="Writing HDF5")
        with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
            file["embedding"], file["id"] = vectors, [str(i) for i in ids]
    else:
        table = pd.DataFrame(vectors, columns=names)
        table.insert(0, "id", ids)
        write_table(path, table)
