"""``esmlearn embed``."""

import argparse
from collections.abc import Iterable
from typing import Any

from esmlearn.cli._common import (
    Commands,
    add_input,
    add_jobs,
    add_no_cache,
    cache_where_possible,
    device,
    new_command,
    output_path,
    read_input,
    show,
)
from esmlearn.io import is_fasta
from esmlearn.io._survey import survey_fasta
from esmlearn.io._vectors import VECTOR_SUFFIXES, check_vector_path, open_vectors

_CHUNK = 4096
#: Counts of the report that are told, where there are such sequences.
_TOLD = {
    "n_stops": "with a stop (*) at the end, which was removed",
    "n_gapped": "with gaps or stops (. - *), embedded as symbols of their own",
    "n_ambiguous": "with B J O U X or Z",
    "n_lower_case": "in lower case",
    "n_duplicates": "copies of others",
    "n_short": "of fewer than 11 residues",
    "n_windowed": "of more than 1022 residues, averaged over windows",
    "n_truncated": "of more than 1022 residues, cut",
}


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
    add_no_cache(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Embed and write; a FASTA file is read in blocks."""
    from esmlearn.embedding import ESMEmbedder
    from esmlearn.embedding._fasta import chunks, embed_chunks

    check_vector_path(args.output)
    with cache_where_possible(args) as kept:
        embedder = ESMEmbedder(
            args.model,
            layer=args.layer,
            pooling=args.pooling,
            long_sequences=args.long,
            device=args.device,
            cache="default" if kept else None,
            n_jobs=None if args.jobs == -1 else args.jobs,
            verbose=int(args.verbose >= 0),
        )
        proteins, n_distinct, counts = _proteins(args)
        n, features = counts["n_proteins"], [str(f) for f in embedder.get_feature_names_out()]
        with open_vectors(args.output, n_rows=n, features=features) as writer:
            embed_chunks(embedder, chunks(proteins, _CHUNK), writer, n_distinct=n_distinct)
        fingerprint = embedder.fingerprint()
    report = {
        "output": args.output,
        "shape": [n, len(features)],
        "fingerprint": fingerprint,
        **embedder.report_,
        "n_stops": counts["n_stops"],
    }
    text = (
        f"{n} proteins x {len(features)} features in {args.output} "
        f"({embedder.n_computed_} computed, {report['n_cached']} from the cache)"
    )
    told = [f"{report[name]} {words}" for name, words in _TOLD.items() if report[name]]
    show(args, report, f"{text}\nOf these: {'; '.join(told)}." if told else text)
    return 0


def _proteins(args: argparse.Namespace) -> tuple[Iterable[tuple[str, str]], int, dict[str, Any]]:
    """Return ids and sequences, the number of distinct sequences, and other counts."""
    from esmlearn.embedding._fasta import read_records

    if is_fasta(args.input) and args.separator is None and args.sheet is None:
        survey = survey_fasta(args.input)
        counts = {"n_proteins": survey.n_records, "n_stops": survey.n_stops}
        return read_records(args.input), survey.n_distinct, counts
    table = read_input(args)
    pairs = zip(table.ids.tolist(), table.sequences.tolist(), strict=True)
    counts = {"n_proteins": len(table.ids), "n_stops": table.n_stops}
    return pairs, len(set(table.sequences)), counts
