"""Train a small ESM-2-architecture masked language model; stop and go on at any time.

    python -m benchmarks.pretrain.train start RUN --corpus corpus.npz
    python -m benchmarks.pretrain.train resume RUN --corpus corpus.npz
    python -m benchmarks.pretrain.train cooldown RUN --corpus corpus.npz --into RUN2 --steps 800
    python -m benchmarks.pretrain.train resume RUN2 --corpus corpus.npz

RUN is a folder. Its ``state.pt`` is replaced every three minutes, whole or not at all; a killed
run goes on from it and computes what the unbroken run would have computed. ``start`` and
``resume`` train at a constant learning rate until they are stopped (SIGTERM, Ctrl-C, or
``--until-step``); ``cooldown`` copies the state into another folder and lowers the rate to zero
there. That copy is the model to use; RUN itself can be resumed afterwards.

On virtual machines set MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184
MALLOC_TOP_PAD_=536870912, and OMP_WAIT_POLICY=passive where the cores are shared: both made
training several times faster here.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

import torch

from benchmarks.pretrain._corpus import Corpus, Position
from benchmarks.pretrain._model import Architecture
from benchmarks.pretrain._training import Run, Settings, Trainer, load_state


def start(args: argparse.Namespace) -> Trainer:
    """A new run."""
    if (args.run / "state.pt").exists():
        raise SystemExit(f"{args.run} holds a run already: use resume, or another folder.")
    size = Architecture(n_layers=args.n_layers, width=args.width, n_heads=args.n_heads)
    settings = Settings(
        architecture=size,
        crop=args.crop,
        tokens_per_batch=args.tokens_per_batch,
        learning_rate=args.learning_rate,
        warmup_steps=args.warmup_steps,
        seed=args.seed,
    )
    return Trainer(settings, Corpus.load(args.corpus), device=args.device)


def resume(args: argparse.Namespace) -> Trainer:
    """The run as its folder has it."""
    state = load_state(args.run / "state.pt")
    settings = Settings.from_dict(state["settings"])
    trainer = Trainer(settings, Corpus.load(args.corpus), device=args.device)
    trainer.load_state(state)
    return trainer


def cooldown(args: argparse.Namespace) -> Trainer:
    """A copy of a run whose learning rate falls to zero."""
    if (args.into / "state.pt").exists():
        raise SystemExit(f"{args.into} holds a run already: use resume, or another folder.")
    state = load_state(args.run / "state.pt")
    settings = dataclasses.replace(
        Settings.from_dict(state["settings"]),
        crop=args.crop,
        tokens_per_batch=args.tokens_per_batch,
        cooldown_start=state["progress"]["step"],
        cooldown_steps=args.steps,
    )
    trainer = Trainer(settings, Corpus.load(args.corpus), device=args.device)
    trainer.load_state(state)
    # Another crop makes other batches, so the copy begins with the next shard of unseen sequences.
    epoch, shard = trainer.progress.position.epoch, trainer.progress.position.shard + 1
    wrapped = shard == trainer.plan.n_shards
    trainer.progress.position = Position(epoch + wrapped, 0 if wrapped else shard)
    return trainer


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    for action in (start, resume, cooldown):
        command = commands.add_parser(action.__name__, help=action.__doc__)
        command.set_defaults(action=action)
        command.add_argument("run", type=Path)
        command.add_argument("--corpus", type=Path, required=True)
        command.add_argument("--device", default="cpu")
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--until-step", type=int)
        if action is start:
            _add_settings(command)
        if action is cooldown:
            command.add_argument("--into", type=Path, required=True)
            command.add_argument("--steps", type=int, required=True)
        if action is not resume:
            command.add_argument("--crop", type=int, default=256 if action is start else 512)
            command.add_argument("--tokens-per-batch", type=int, default=Settings.tokens_per_batch)
    return parser.parse_args()


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--width", type=int, default=Architecture.width)
    command.add_argument("--n-layers", type=int, default=Architecture.n_layers)
    command.add_argument("--n-heads", type=int, default=Architecture.n_heads)
    command.add_argument("--learning-rate", type=float, default=Settings.learning_rate)
    command.add_argument("--warmup-steps", type=int, default=Settings.warmup_steps)
    command.add_argument("--seed", type=int, default=0)


def main() -> None:
    args = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    trainer = args.action(args)
    folder = args.into if args.action is cooldown else args.run
    folder.mkdir(parents=True, exist_ok=True)
    Run(trainer, folder).train(until_step=args.until_step)


if __name__ == "__main__":
    main()
