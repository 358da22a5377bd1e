"""``esmlearn embed``."""

import argparse
from collections.abc import Iterable

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
from esmlearn.io import is_fasta, iter_fasta
from esmlearn.io._survey import survey_fasta
from esmlearn.io._vectors import VECTOR_SUFFIXES, check_vector_path, open_vectors

_CHUNK = 4096


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = new_command(commands, "embed", "embed the proteins of a FASTA file or table")
    parser.add_argument("input", metavar="FASTA", help="FASTA file, or table of sequences")
    parser.add_argument(
        "-o",
        "--output",
        type=output_path,
        required=True,
        help=f"file: {', '.join(VECTOR_SUFFIXES)}",
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
    """Embed and write; a FASTA file is read in blocks."""
    from esmlearn.embedding import ESMEmbedder
    from esmlearn.embedding._fasta import chunks, embed_chunks

    check_vector_path(args.output)
    embedder = ESMEmbedder(
        args.model,
        layer=args.layer,
        pooling=args.pooling,
        long_sequences=args.long,
        device=args.device,
        n_jobs=None if args.jobs == -1 else args.jobs,
        verbose=int(args.verbose >= 0),
    )
    proteins, n_proteins, n_distinct = _proteins(args)
    features = [str(name) for name in embedder.get_feature_names_out()]
    with open_vectors(args.output, n_rows=n_proteins, features=features) as writer:
        embed_chunks(embedder, chunks(proteins, _CHUNK), writer, n_distinct=n_distinct)
    report = {
        "output": args.output,
        "shape": [n_proteins, len(features)],
        "fingerprint": embedder.fingerprint(),
        **embedder.report_,
    }
    text = (
        f"{n_proteins} proteins x {len(features)} features in {args.output} "
        f"({embedder.n_computed_} computed, {report['n_cached']} from the cache)"
    )
    show(args, report, text)
    return 0


def _proteins(args: argparse.Namespace) -> tuple[Iterable[tuple[str, str]], int, int]:
    """Return ids and sequences, the number of both, and the number of distinct sequences."""
    if is_fasta(args.input):
        survey = survey_fasta(args.input)
        records = ((record.id, record.sequence) for record in iter_fasta(args.input))
        return records, survey.n_records, survey.n_distinct
    table = read_input(args)
    pairs = zip(table.ids.tolist(), table.sequences.tolist(), strict=True)
    return pairs, len(table.ids), len(set(table.sequences))
