"""Train a small ESM-2-architecture masked language model; stop and go on at any time.

    python -m benchmarks.pretrain.train start RUN --objective residues+pairs \\
        --corpus corpus.npz --labels labels.npz
    python -m benchmarks.pretrain.train resume RUN --corpus corpus.npz --labels labels.npz
    python -m benchmarks.pretrain.train branch RUN --into COOLED --cooldown-steps 2500 \\
        --corpus corpus.npz --labels labels.npz

RUN is a folder. Its ``state.pt`` is replaced every three minutes, whole or not at all; a killed
run goes on from it and computes what the unbroken run would have computed. ``start`` and
``resume`` train at a constant learning rate until they are stopped (SIGTERM, Ctrl-C, or
``--until-step``). ``branch`` copies the state into another folder, where other settings apply: with
``--cooldown-steps`` the learning rate falls to zero, and the copy is then the model to use. RUN
itself can be resumed afterwards. ``--objective``: "residues" is masked language modelling;
"residues+pairs" also tells which two windows come from one sequence, and, with `--labels`, which
genome. `--labels` has to be given each time or never. Muon needs torch 2.9 or newer.

On virtual machines set MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184
MALLOC_TOP_PAD_=536870912, and OMP_WAIT_POLICY=passive where the cores are shared: both made
training several times faster there.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

import torch

from benchmarks.pretrain._corpus import Corpus
from benchmarks.pretrain._labels import GenomeLabels
from benchmarks.pretrain._model import Architecture
from benchmarks.pretrain._training import (
    OBJECTIVES,
    Run,
    Settings,
    Trainer,
    load_state,
    locked,
)

_CHANGEABLE = {
    "objective": str,
    "crop": int,
    "tokens_per_batch": int,
    "batches_per_step": int,
    "learning_rate": float,
    "temperature": float,
    "pair_weight": float,
    "labelled_share": float,
    "genome_weight": float,
}


def _trainer(settings: Settings, args: argparse.Namespace) -> Trainer:
    labels = None if args.labels is None else GenomeLabels.load(args.labels)
    return Trainer(settings, Corpus.load(args.corpus), labels, device=args.device)


def start(args: argparse.Namespace) -> Trainer:
    """A new run."""
    if (args.run / "state.pt").exists():
        raise SystemExit(f"{args.run} holds a run already: use resume, or another folder.")
    size = Architecture(n_layers=args.n_layers, width=args.width, n_heads=args.n_heads)
    settings = Settings(
        architecture=size,
        warmup_steps=args.warmup_steps,
        seed=args.seed,
        **{name: getattr(args, name) for name in _CHANGEABLE},
    )
    return _trainer(settings, args)


def resume(args: argparse.Namespace) -> Trainer:
    """The run as its folder has it."""
    state = load_state(args.run / "state.pt")
    settings = Settings.from_dict(state["settings"])
    trainer = _trainer(settings, args)
    trainer.load_state(state)
    return trainer


def branch(args: argparse.Namespace) -> Trainer:
    """A copy of a run that goes on with other settings, such as a cooldown."""
    if (args.into / "state.pt").exists():
        raise SystemExit(f"{args.into} holds a run already: use resume, or another folder.")
    state = load_state(args.run / "state.pt")
    settings = Settings.from_dict(state["settings"])
    names = tuple(_CHANGEABLE)
    changed = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.cooldown_steps is not None:
        changed["cooldown_start"] = state["progress"]["step"]
        changed["cooldown_steps"] = args.cooldown_steps
    settings = dataclasses.replace(settings, **changed)
    trainer = _trainer(settings, args)
    trainer.load_state(state)
    trainer.skip_to_next_shard()  # other settings cut other batches from the present one
    return trainer


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    for action in (start, resume, branch):
        command = commands.add_parser(action.__name__, help=action.__doc__)
        command.set_defaults(action=action)
        command.add_argument("run", type=Path)
        command.add_argument("--corpus", type=Path, required=True)
        command.add_argument("--labels", type=Path, help="genomes; default: none are told")
        command.add_argument("--device", default="cpu")
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--until-step", type=int)
        if action is not resume:
            _add_settings(command, Settings() if action is start else None)
        if action is start:
            _add_size(command)
        if action is branch:
            command.add_argument("--into", type=Path, required=True)
            command.add_argument("--cooldown-steps", type=int)
    return parser.parse_args()


def _add_settings(command: argparse.ArgumentParser, defaults: Settings | None) -> None:
    """Settings that a branch may change; without defaults, None leaves them as they are."""
    for name, kind in _CHANGEABLE.items():
        flag = f"--{name.replace('_', '-')}"
        choices = OBJECTIVES if name == "objective" else None
        default = getattr(defaults, name, None)
        command.add_argument(flag, type=kind, default=default, choices=choices)


def _add_size(command: argparse.ArgumentParser) -> None:
    for name in ("width", "n_layers", "n_heads"):
        flag = f"--{name.replace('_', '-')}"
        command.add_argument(flag, type=int, default=getattr(Architecture, name))
    command.add_argument("--warmup-steps", type=int, default=Settings.warmup_steps)
    command.add_argument("--seed", type=int, default=Settings.seed)


def main() -> None:
    args = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    folder = args.into if args.action is branch else args.run
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):  # before the state is read: another process may still be writing it
        Run(args.action(args), folder).train(until_step=args.until_step)


if __name__ == "__main__":
    main()
