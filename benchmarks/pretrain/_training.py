"""The training loop: its settings, its state on disk, and one step."""

from __future__ import annotations

import copy
import dataclasses
import fcntl
import json
import logging
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.pretrain._corpus import (
    FIRST_RESIDUE,
    MASK,
    Batch,
    BatchPlan,
    Corpus,
    Position,
    mask_tokens,
)
from benchmarks.pretrain._labels import GenomeLabels
from benchmarks.pretrain._model import Architecture, GenomeHead, MaskedLanguageModel
from benchmarks.pretrain._objectives import (
    held_out_pair_loss,
    held_out_residue_loss,
    masked_loss,
    masked_loss_and_pooled_states,
    pair_loss,
    tensors,
)

OBJECTIVES = ("residues", "residues+pairs")

_COMPILED_ERROR = 0.03  # of bfloat16, rounded in another order

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Everything that decides what the weights become.

    ``objective``: "residues", masked language modelling; "residues+pairs", also telling, from the
    mean-pooled states, which two windows come from one sequence (and the sequences' genomes, if
    they are given).

    The learning rate rises over ``warmup_steps``, then stays. From step ``cooldown_start`` on it
    falls linearly and is zero after ``cooldown_steps``: such a run can be ended when time is up,
    and, ended in a copy of its state, go on afterwards (Hägele et al. 2024, arXiv:2405.18392).
    """

    architecture: Architecture = field(default_factory=Architecture)
    objective: str = "residues"
    crop: int = 256
    tokens_per_batch: int = 4096
    batches_per_step: int = 1
    learning_rate: float = 1e-3
    warmup_steps: int = 300
    cooldown_start: int | None = None
    cooldown_steps: int = 0
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    temperature: float = 0.2
    pair_weight: float = 1.0
    labelled_share: float = 0.25
    genome_weight: float = 0.5
    seed: int = 0

    @property
    def last_step(self) -> int | None:
        """Step after which the cooldown has ended; None while no cooldown is set."""
        return None if self.cooldown_start is None else self.cooldown_start + self.cooldown_steps

    def rate_at(self, step: int) -> float:
        """Learning rate of step ``step`` (counted from 0)."""
        rate = self.learning_rate * min(1.0, (step + 1) / self.warmup_steps)
        if self.last_step is not None:
            rate *= min(1.0, max(0.0, (self.last_step - step) / self.cooldown_steps))
        return rate

    @classmethod
    def from_dict(cls, values: dict) -> Settings:
        return cls(**{**values, "architecture": Architecture(**values["architecture"])})


@dataclass
class Progress:
    """How far the training has come."""

    step: int = 0
    residues: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    position: Position = field(default_factory=Position)
    curve: list[dict] = field(default_factory=list)


class Trainer:
    """Model, averaged model, optimizer and progress: all that a run is.

    With ``labels``, which only the objective "residues+pairs" takes, the mean-pooled states are
    trained to tell each sequence's genome too, and in ``labelled_share`` of a batch it is known.
    """

    def __init__(
        self,
        settings: Settings,
        corpus: Corpus,
        labels: GenomeLabels | None = None,
        *,
        device: str = "cpu",
    ):
        self.settings, self.corpus, self.labels, self.device = settings, corpus, labels, device
        self.progress = Progress()
        self.plan = BatchPlan(
            corpus.training,
            crop=settings.crop,
            tokens_per_batch=settings.tokens_per_batch,
            seed=settings.seed,
            rows=None if labels is None else self._rows(labels),
            n_windows=2 if self._pairs else 1,
        )
        width, seed = settings.architecture.width, settings.seed
        self.head = None if labels is None else GenomeHead(width, labels.n_genomes, seed=seed)
        if self.head is not None:
            self.head.to(device)
        self.model = MaskedLanguageModel(settings.architecture, seed=seed).to(device)
        self.averaged = copy.deepcopy(self.model).requires_grad_(False)
        if torch.device(device).type == "cuda":
            self._compile()
        self.optimizers = self._new_optimizers()

    def _compile(self) -> None:
        """Compile the model, and see that what was compiled computes what it is to compute.

        torch 2.11, given 131,072 tokens at once, compiled without a word a network whose losses
        were not those of its weights; with 61,440 tokens they were.
        """
        batches = [batch for _, (batch, *_) in islice(self.batches(), 2)]
        given = [tensors(self.device, batch.tokens)[0].long() for batch in batches]
        with torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16):
            expected = [self.model(tokens).detach() for tokens in given]
            self.model.compile(dynamic=True)
            found = [self.model(tokens).detach() for tokens in given]
        for a, b in zip(expected, found, strict=True):
            error = float((a - b).float().norm() / a.float().norm())
            if error > _COMPILED_ERROR:
                raise RuntimeError(
                    f"The compiled model's states differ by {error:.3f} of their size from the "
                    f"model's, expected at most {_COMPILED_ERROR}; give fewer --tokens-per-batch."
                )

    @property
    def _pairs(self) -> bool:
        return self.settings.objective == "residues+pairs"

    def _new_optimizers(self) -> list[torch.optim.Optimizer]:
        """Muon for the layers' matrices, AdamW for everything else."""
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        matrices = [p for p in self.model.blocks.parameters() if p.ndim == 2]
        chosen = {id(p) for p in matrices}
        others = [p for p in self._parameters() if id(p) not in chosen]
        return [
            torch.optim.AdamW(
                others, lr=rate, betas=(0.9, 0.98), eps=1e-8, weight_decay=decay, fused=True
            ),
            torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        ]

    def _rows(self, labels: GenomeLabels) -> np.ndarray:
        """All sequences, and those with labels so often that they are the share asked for."""
        others = len(labels) - len(labels.labelled)
        share = self.settings.labelled_share
        repeats = max(1, round(share / (1 - share) * others / len(labels.labelled)))
        return np.concatenate([np.arange(len(labels)), np.repeat(labels.labelled, repeats - 1)])

    def _parameters(self) -> list[torch.nn.Parameter]:
        head = [] if self.head is None else list(self.head.parameters())
        return [*self.model.parameters(), *head]

    def state(self) -> dict:
        """Everything needed to go on, as tensors and plain values."""
        return {
            "settings": dataclasses.asdict(self.settings),
            "progress": dataclasses.asdict(self.progress),
            "corpus": self.corpus.description,
            "labels": None if self.labels is None else self.labels.description,
            "head": None if self.head is None else self.head.state_dict(),
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def load_state(self, state: dict) -> None:
        """Take over what `state` gave; the settings are those of this trainer."""
        for name, given in (("corpus", self.corpus), ("labels", self.labels)):
            description = getattr(given, "description", None)
            if state.get(name) != description:
                raise ValueError(
                    f"The state was trained with other {name}: {state.get(name)}; "
                    f"got {description}. Give the {name} file of the run."
                )
        progress = dict(state["progress"])
        self.progress = Progress(**{**progress, "position": Position(**progress["position"])})
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if self.head is not None:
            self.head.load_state_dict(state["head"])

    def skip_to_next_shard(self) -> None:
        """Leave out what remains of the present shard."""
        epoch, shard = self.progress.position.epoch, self.progress.position.shard + 1
        over = shard == self.plan.n_shards
        self.progress.position = Position(epoch + over, 0 if over else shard)

    def batches(self) -> Iterator[tuple[Position, list[Batch]]]:
        """Yield, without end, the batches of each step and the position after them."""
        batches = self.plan.iterate(self.progress.position)
        while True:
            group = list(islice(batches, self.settings.batches_per_step))
            yield group[-1][0], [batch for _, batch in group]

    def train_step(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """Update the weights once; return the losses in nats, still on the device."""
        settings, progress = self.settings, self.progress
        weights = {"pairs": settings.pair_weight, "genome": settings.genome_weight}
        found: list[dict[str, Tensor]] = []
        for number, batch in enumerate(batches):
            # Seeded by the step: a resumed run masks what the unbroken run would have masked.
            rng = np.random.default_rng([settings.seed, 1, progress.step, number])
            losses = self._losses(batch, rng)
            weighted = [weights.get(name, 1.0) * loss for name, loss in losses.items()]
            (torch.stack(weighted).sum() / len(batches)).backward()
            found.append({name: loss.detach() for name, loss in losses.items()})
            residues = (batch.tokens >= FIRST_RESIDUE) & (batch.tokens < MASK)
            progress.residues += int(residues.sum())
        torch.nn.utils.clip_grad_norm_(self._parameters(), settings.clip_norm)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = settings.rate_at(progress.step)
            optimizer.step()
            # Zeroed in place, not freed: giving memory back each step costs page faults.
            optimizer.zero_grad(set_to_none=False)
        progress.step += 1
        self._average()
        return {name: torch.stack([part[name] for part in found]).mean() for name in found[0]}

    def _losses(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Losses of one batch."""
        corrupted, chosen = mask_tokens(batch.tokens, rng)
        if not self._pairs:
            return {"residues": masked_loss(self.model, corrupted, chosen, batch.tokens)}
        loss, pooled = masked_loss_and_pooled_states(self.model, corrupted, chosen, batch.tokens)
        pairs = pair_loss(pooled, batch.rows, self.settings.temperature)
        losses = {"residues": loss, "pairs": pairs}
        if self.labels is not None and self.head is not None:
            (genomes,) = tensors(self.device, self.labels.genomes[batch.rows])
            losses["genome"] = self.head.loss(pooled, genomes.long())
        return losses

    def held_out_losses(self) -> dict[str, float]:
        """Losses, in nats, of the averaged model on the held-out families."""
        settings, held_out = self.settings, self.corpus.held_out
        plan = BatchPlan(held_out, crop=512, tokens_per_batch=8192, seed=1)
        losses = {"residues": held_out_residue_loss(self.averaged, plan, every=2)}
        if self._pairs:
            plan = BatchPlan(held_out, crop=settings.crop, seed=1, n_windows=2)
            losses["pairs"] = held_out_pair_loss(self.averaged, plan, settings.temperature)
        return losses

    @torch.no_grad()
    def _average(self) -> None:
        step = self.progress.step
        decay = min(self.settings.ema_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.averaged.parameters()), list(self.model.parameters()), 1 - decay
        )


def rounded(losses: dict[str, float]) -> dict[str, float]:
    """The losses as they are reported."""
    return {name: round(loss, 4) for name, loss in losses.items()}


def save_atomically(path: Path, state: dict) -> None:
    """Replace the file at once, so that a kill at any moment leaves a whole one."""
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def load_state(path: Path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training the run of this folder; ends with the process."""
    with open(folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"{folder} is being trained by another process.") from None
        yield


@dataclass
class Run:
    """A trainer and the folder that keeps its state (``state.pt``) and curve (``curve.json``)."""

    trainer: Trainer
    folder: Path
    save_every_seconds: float = 180.0
    log_every: int = 50
    validate_every: int = 500

    def __post_init__(self) -> None:
        self._stop = False

    def save(self) -> None:
        save_atomically(self.folder / "state.pt", self.trainer.state())
        partial = self.folder / "curve.partial"
        partial.write_text(json.dumps(self.trainer.progress.curve, indent=0))
        os.replace(partial, self.folder / "curve.json")

    def _request_stop(self, *_: object) -> None:
        self._stop = True

    def train(self, *, until_step: int | None = None) -> None:
        """Train to the end of the cooldown, to ``until_step``, or to SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request_stop)
        ends = [end for end in (until_step, self.trainer.settings.last_step) if end is not None]
        end = min(ends, default=None)
        progress = self.trainer.progress
        losses: list[dict[str, Tensor]] = []
        saved = time.monotonic()
        self._restart_clock()
        for position, batches in self.trainer.batches():
            if self._stop or (end is not None and progress.step >= end):
                break
            losses.append(self.trainer.train_step(batches))
            progress.position = position
            if progress.step % self.log_every == 0:
                self._report(losses)
                losses.clear()
            if time.monotonic() - saved > self.save_every_seconds:
                self._read_clock()
                self.save()
                self._restart_clock()
                saved = time.monotonic()
        self._read_clock()
        self.save()

    def _restart_clock(self) -> None:
        self._since = time.monotonic(), time.process_time()

    def _read_clock(self) -> None:
        """Count the time since the clock was started as time of training."""
        start, cpu_start = self._since
        progress = self.trainer.progress
        progress.seconds += time.monotonic() - start
        progress.cpu_seconds += time.process_time() - cpu_start

    def _report(self, losses: list[dict[str, Tensor]]) -> None:
        progress = self.trainer.progress
        means = {
            name: float(torch.stack([step[name] for step in losses]).mean()) for name in losses[0]
        }
        self._read_clock()  # after the means, which wait for the device
        row = {
            "step": progress.step,
            "residues": progress.residues,
            "seconds": round(progress.seconds, 1),
            "cpu_seconds": round(progress.cpu_seconds, 1),
            "learning_rate": self.trainer.settings.rate_at(progress.step - 1),
            "training_loss": rounded(means),
        }
        if progress.step % self.validate_every == 0:
            row["held_out_loss"] = rounded(self.trainer.held_out_losses())
        progress.curve.append(row)
        logger.info("%s", json.dumps(row))
        self._restart_clock()
