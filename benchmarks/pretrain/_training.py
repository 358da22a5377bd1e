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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.pretrain._corpus import (
    FIRST_RESIDUE,
    MASK,
    BatchPlan,
    Corpus,
    Position,
    mask_all,
    mask_tokens,
)
from benchmarks.pretrain._model import Architecture, MaskedLanguageModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Everything that decides what the weights become.

    The learning rate rises over ``warmup_steps``, then stays. From step ``cooldown_start`` on it
    falls linearly and is zero after ``cooldown_steps``: such a run can be ended when time is up,
    and, ended in a copy of its state, go on afterwards (Hägele et al. 2024, arXiv:2405.18392).
    """

    architecture: Architecture = field(default_factory=Architecture)
    crop: int = 256
    tokens_per_batch: int = 4096
    learning_rate: float = 1e-3
    warmup_steps: int = 300
    cooldown_start: int | None = None
    cooldown_steps: int = 0
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999
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
    """Model, averaged model, optimizer and progress: all that a run is."""

    def __init__(self, settings: Settings, corpus: Corpus, *, device: str = "cpu"):
        self.settings, self.corpus, self.device = settings, corpus, device
        self.progress = Progress()
        self.model = MaskedLanguageModel(settings.architecture, seed=settings.seed).to(device)
        self.averaged = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=settings.learning_rate,
            betas=(0.9, 0.98),
            eps=1e-8,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.plan = BatchPlan(
            corpus.training,
            crop=settings.crop,
            tokens_per_batch=settings.tokens_per_batch,
            seed=settings.seed,
        )

    def state(self) -> dict:
        """Everything needed to go on, as tensors and plain values."""
        return {
            "settings": dataclasses.asdict(self.settings),
            "progress": dataclasses.asdict(self.progress),
            "corpus": self.corpus.description,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state(self, state: dict) -> None:
        """Take over what `state` gave; the settings are those of this trainer."""
        if state["corpus"] != self.corpus.description:
            raise ValueError(
                f"The state was trained on another corpus: {state['corpus']}; "
                f"got {self.corpus.description}. Give the corpus file of the run."
            )
        progress = dict(state["progress"])
        self.progress = Progress(**{**progress, "position": Position(**progress["position"])})
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])

    def skip_to_next_shard(self) -> None:
        """Leave out what remains of the present shard."""
        epoch, shard = self.progress.position.epoch, self.progress.position.shard + 1
        over = shard == self.plan.n_shards
        self.progress.position = Position(epoch + over, 0 if over else shard)

    def batches(self) -> Iterator[tuple[Position, np.ndarray]]:
        return self.plan.iterate(self.progress.position)

    def train_step(self, batch: np.ndarray) -> float:
        """Update the weights once; return the loss in nats."""
        settings, progress = self.settings, self.progress
        # Seeded by the step: a resumed run masks what the unbroken run would have masked.
        rng = np.random.default_rng([settings.seed, 1, progress.step])
        loss = masked_loss(self.model, *mask_tokens(batch, rng), batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate_at(progress.step)
        self.optimizer.step()
        # Zeroed in place, not freed: giving memory back each step costs page faults.
        self.optimizer.zero_grad(set_to_none=False)
        progress.step += 1
        progress.residues += int(((batch >= FIRST_RESIDUE) & (batch < MASK)).sum())
        self._average()
        return float(loss.detach())

    @torch.no_grad()
    def _average(self) -> None:
        step = self.progress.step
        decay = min(self.settings.ema_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.averaged.parameters()), list(self.model.parameters()), 1 - decay
        )


def masked_loss(
    model: MaskedLanguageModel, corrupted: np.ndarray, chosen: np.ndarray, original: np.ndarray
) -> Tensor:
    """Loss of one batch, computed in bfloat16 where that is safe."""
    device = model.head_bias.device
    tensors = [torch.from_numpy(a).to(device) for a in (corrupted, original, chosen)]
    with torch.autocast(device.type, dtype=torch.bfloat16):
        return model.loss(tensors[0].long(), tensors[1].long(), tensors[2])


@torch.no_grad()
def held_out_loss(model: MaskedLanguageModel, plan: BatchPlan, *, every: int = 1) -> float:
    """Mean loss, in nats per masked residue, on a plan's first shard with a fixed mask.

    All chosen residues are masked (none is left or replaced), so that the figure says how well
    the model knows what it cannot see. ``every``: use each ``every``-th batch only.
    """
    total, count = 0.0, 0
    for number, batch in enumerate(plan.shard(0, 0)[::every]):
        corrupted, chosen = mask_all(batch, np.random.default_rng([2, number]))
        total += float(masked_loss(model, corrupted, chosen, batch)) * int(chosen.sum())
        count += int(chosen.sum())
    return total / count


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
        self._validation = BatchPlan(
            self.trainer.corpus.held_out, crop=512, tokens_per_batch=8192, seed=1
        )

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
        progress, losses = self.trainer.progress, []
        saved = time.monotonic()
        for position, batch in self.trainer.batches():
            if self._stop or (end is not None and progress.step >= end):
                break
            start, cpu_start = time.monotonic(), time.process_time()
            losses.append(self.trainer.train_step(batch))
            progress.position = position
            progress.seconds += time.monotonic() - start
            progress.cpu_seconds += time.process_time() - cpu_start
            self._report(losses)
            if time.monotonic() - saved > self.save_every_seconds:
                self.save()
                saved = time.monotonic()
        self.save()

    def _report(self, losses: list[float]) -> None:
        progress = self.trainer.progress
        if progress.step % self.log_every:
            return
        row = {
            "step": progress.step,
            "residues": progress.residues,
            "seconds": round(progress.seconds, 1),
            "cpu_seconds": round(progress.cpu_seconds, 1),
            "learning_rate": self.trainer.settings.rate_at(progress.step - 1),
            "training_loss": round(float(np.mean(losses)), 4),
        }
        if progress.step % self.validate_every == 0:
            loss = held_out_loss(self.trainer.averaged, self._validation, every=2)
            row["held_out_loss"] = round(loss, 4)
        losses.clear()
        progress.curve.append(row)
        logger.info("%s", json.dumps(row))
