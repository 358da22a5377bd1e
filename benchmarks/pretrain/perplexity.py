"""Perplexity of a checkpoint on the held-out families, beside unigram and trigram models.

    python -m benchmarks.pretrain.perplexity esmlearn_mini_v3.pt --corpus corpus.npz \\
        --output perplexity.json

15 % of the residues of every held-out sequence are masked, all with ``<mask>``, and the same
residues are asked of every model. The n-gram models, counted on the training sequences, see their
neighbours unmasked: the trigram model the two residues before, the two-sided one the residue before
and the one after.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch

from benchmarks.pretrain._corpus import BatchPlan, Corpus, mask_all
from benchmarks.pretrain._ngram import NeighbourModel
from benchmarks.pretrain._objectives import held_out_residue_loss
from benchmarks.pretrain.export import read_checkpoint

NEIGHBOURS = {"unigram": (), "trigram": (-1, -2), "two_sided": (-1, 1)}


def neighbour_losses(corpus: Corpus, plan: BatchPlan) -> dict[str, float]:
    """Mean loss, in nats, of the n-gram models on what `held_out_residue_loss` masks."""
    models = {name: NeighbourModel(at).fit(corpus.training) for name, at in NEIGHBOURS.items()}
    losses: dict[str, list[np.ndarray]] = {name: [] for name in models}
    for number, batch in enumerate(plan.shard(0, 0)):
        _, chosen = mask_all(batch.tokens, np.random.default_rng([2, number]))
        for name, model in models.items():
            losses[name].append(model.loss(batch.tokens, chosen))
    return {name: float(np.concatenate(parts).mean()) for name, parts in losses.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    corpus, model = Corpus.load(args.corpus), read_checkpoint(args.checkpoint)
    plan = BatchPlan(corpus.held_out, crop=1024, tokens_per_batch=8192, seed=1)
    losses = {"model": held_out_residue_loss(model, plan), **neighbour_losses(corpus, plan)}
    result = {
        "checkpoint": args.checkpoint.name,
        "perplexity": {name: round(math.exp(loss), 3) for name, loss in losses.items()},
        "loss": {name: round(loss, 4) for name, loss in losses.items()},
        "corpus": corpus.description,
        "training_residues": corpus.training.n_residues,
        "held_out_residues": corpus.held_out.n_residues,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
