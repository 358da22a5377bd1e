"""Which width and depth learn most in a given time?

    python -m benchmarks.pretrain.compare_sizes corpus.npz --sizes 1x256 2x256 3x192 2x320 \\
        --cpu-seconds 300

Each size trains on its own for the same CPU time of one thread, with a constant step size for 60 %
of it and a cooldown for the rest; the loss on the held-out families is that of `train.py`, and is
measured before any training too.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import time
from itertools import islice
from pathlib import Path

import torch

from benchmarks._report import machine, write_result
from benchmarks.pretrain._corpus import Corpus
from benchmarks.pretrain._labels import GenomeLabels
from benchmarks.pretrain._model import Architecture
from benchmarks.pretrain._training import OBJECTIVES, Settings, Trainer, rounded

logger = logging.getLogger("compare_sizes")

_HEAD_WIDTH = 64
_CONSTANT_SHARE = 0.6


def train_for(trainer: Trainer, cpu_seconds: float) -> None:
    """Train at a constant step size, then let it fall to zero, in about the time given."""
    start = time.process_time()
    batches = trainer.batches()
    while time.process_time() - start < _CONSTANT_SHARE * cpu_seconds:
        trainer.train_step(next(batches)[1])
    done = trainer.progress.step
    cooldown = max(1, round(done * (1 - _CONSTANT_SHARE) / _CONSTANT_SHARE))
    trainer.settings = dataclasses.replace(
        trainer.settings, cooldown_start=done, cooldown_steps=cooldown
    )
    for _, step in islice(batches, cooldown):
        trainer.train_step(step)


def measure(trainer: Trainer, cpu_seconds: float) -> dict[str, object]:
    """Train one size, and tell what it has learned."""
    before = trainer.held_out_losses()
    start = time.process_time()
    train_for(trainer, cpu_seconds)
    used = time.process_time() - start
    size = trainer.settings.architecture
    return {
        **dataclasses.asdict(size),
        "n_weights": sum(p.numel() for p in trainer.model.parameters()),
        "cpu_seconds": round(used, 1),
        "steps": trainer.progress.step,
        "residues": trainer.progress.residues,
        "residues_per_cpu_second": round(trainer.progress.residues / used),
        "held_out_loss_at_the_start": rounded(before),
        "held_out_loss": rounded(trainer.held_out_losses()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["1x256", "2x256", "3x192", "2x320"])
    parser.add_argument("--cpu-seconds", type=float, default=300.0)
    parser.add_argument("--objective", choices=OBJECTIVES, default=OBJECTIVES[1])
    parser.add_argument("--crop", type=int, default=200)
    parser.add_argument("--tokens-per-batch", type=int, default=24576)
    parser.add_argument("--warmup-steps", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="20 seconds each, shown, not kept")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    if args.quick:
        args.cpu_seconds = 20.0
    corpus = Corpus.load(args.corpus)
    labels = None if args.labels is None else GenomeLabels.load(args.labels)
    runs = []
    for size in args.sizes:
        n_layers, width = map(int, size.split("x"))
        settings = Settings(
            architecture=Architecture(n_layers, width, width // _HEAD_WIDTH),
            objective=args.objective,
            crop=args.crop,
            tokens_per_batch=args.tokens_per_batch,
            warmup_steps=args.warmup_steps,
        )
        runs.append(measure(Trainer(settings, corpus, labels), args.cpu_seconds))
        logger.info("%s", runs[-1])
        shared = dataclasses.asdict(settings) | {"labels": labels is not None}
        del shared["architecture"]
        kept = {"machine": machine(), "settings": shared, "runs": runs}
        write_result("pretrain_sizes", kept, quick=args.quick, show=args.quick)


if __name__ == "__main__":
    main()
