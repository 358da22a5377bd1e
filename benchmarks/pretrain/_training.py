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
    Batch,
    BatchPlan,
    Corpus,
    Position,
    mask_tokens,
)
from benchmarks.pretrain._initialisation import residue_frequencies, start_from_composition
from benchmarks.pretrain._labels import SequenceLabels
from benchmarks.pretrain._model import Architecture, MaskedLanguageModel, SequenceHeads
from benchmarks.pretrain._objectives import (
    held_out_pair_loss,
    held_out_residue_loss,
    masked_loss,
    pair_loss,
    pooled_states,
    tensors,
)

OBJECTIVES = ("residues", "pairs", "head")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Everything that decides what the weights become.

    ``objective``: "residues", masked language modelling; "pairs", telling which two windows come
    from one sequence (and the sequences' labels, if there are any), starting from composition;
    "head", masked language modelling in which only the language model's head is trained.

    The learning rate rises over ``warmup_steps``, then stays. From step ``cooldown_start`` on it
    falls linearly and is zero after ``cooldown_steps``: such a run can be ended when time is up,
    and, ended in a copy of its state, go on afterwards (Hägele et al. 2024, arXiv:2405.18392).
    """

    architecture: Architecture = field(default_factory=Architecture)
    objective: str = "residues"
    crop: int = 256
    tokens_per_batch: int = 4096
    learning_rate: float = 1e-3
    warmup_steps: int = 300
    cooldown_start: int | None = None
    cooldown_steps: int = 0
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    temperature: float = 0.2
    labelled_share: float = 0.25
    term_weight: float = 0.0
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

    With ``labels``, which only the objective "pairs" takes, the mean-pooled states are trained to
    tell each sequence's labels too, and a batch has ``labelled_share`` of sequences with labels.
    """

    def __init__(
        self,
        settings: Settings,
        corpus: Corpus,
        labels: SequenceLabels | None = None,
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
            n_windows=2 if settings.objective == "pairs" else 1,
        )
        self.heads = None if labels is None else self._new_heads(labels).to(device)
        self.model = self._new_model().to(device)
        self.averaged = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self._parameters(),
            lr=settings.learning_rate,
            betas=(0.9, 0.98),
            eps=1e-8,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def _rows(self, labels: SequenceLabels) -> np.ndarray:
        """All sequences, and those with labels so often that they are the share asked for."""
        others = len(labels) - len(labels.labelled)
        share = self.settings.labelled_share
        repeats = max(1, round(share / (1 - share) * others / len(labels.labelled)))
        return np.concatenate([np.arange(len(labels)), np.repeat(labels.labelled, repeats - 1)])

    def _new_model(self) -> MaskedLanguageModel:
        settings = self.settings
        model = MaskedLanguageModel(settings.architecture, seed=settings.seed)
        if settings.objective == "pairs":
            windows = [residue_frequencies(batch.tokens) for batch in self.plan.shard(0, 0)]
            start_from_composition(model, np.concatenate(windows), seed=settings.seed)
        if settings.objective == "head":
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name.startswith("head_"))
        return model

    def _new_heads(self, labels: SequenceLabels) -> SequenceHeads:
        frequencies = torch.from_numpy(labels.term_frequencies).float()
        width, seed = self.settings.architecture.width, self.settings.seed
        return SequenceHeads(width, frequencies, labels.n_genomes, seed=seed)

    def _parameters(self) -> list[torch.nn.Parameter]:
        heads = [] if self.heads is None else list(self.heads.parameters())
        return [*self.model.parameters(), *heads]

    def state(self) -> dict:
        """Everything needed to go on, as tensors and plain values."""
        return {
            "settings": dataclasses.asdict(self.settings),
            "progress": dataclasses.asdict(self.progress),
            "corpus": self.corpus.description,
            "labels": None if self.labels is None else self.labels.description,
            "heads": None if self.heads is None else self.heads.state_dict(),
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
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
        self.optimizer.load_state_dict(state["optimizer"])
        if self.heads is not None:
            self.heads.load_state_dict(state["heads"])

    def skip_to_next_shard(self) -> None:
        """Leave out what remains of the present shard."""
        epoch, shard = self.progress.position.epoch, self.progress.position.shard + 1
        over = shard == self.plan.n_shards
        self.progress.position = Position(epoch + over, 0 if over else shard)

    def batches(self) -> Iterator[tuple[Position, Batch]]:
        return self.plan.iterate(self.progress.position)

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Update the weights once; return the losses in nats."""
        settings, progress = self.settings, self.progress
        # Seeded by the step: a resumed run masks what the unbroken run would have masked.
        rng = np.random.default_rng([settings.seed, 1, progress.step])
        losses = self._losses(batch, rng)
        weights = {"terms": settings.term_weight, "genome": settings.genome_weight}
        torch.stack(
            [weights.get(name, 1.0) * loss for name, loss in losses.items()]
        ).sum().backward()
        torch.nn.utils.clip_grad_norm_(self._parameters(), settings.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate_at(progress.step)
        self.optimizer.step()
        # Zeroed in place, not freed: giving memory back each step costs page faults.
        self.optimizer.zero_grad(set_to_none=False)
        progress.step += 1
        progress.residues += int(((batch.tokens >= FIRST_RESIDUE) & (batch.tokens < MASK)).sum())
        self._average()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _losses(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Losses of one batch."""
        if self.settings.objective != "pairs":
            corrupted, chosen = mask_tokens(batch.tokens, rng)
            return {"residues": masked_loss(self.model, corrupted, chosen, batch.tokens)}
        pooled = pooled_states(self.model, batch)
        losses = {"pairs": pair_loss(pooled, batch.rows, self.settings.temperature)}
        if self.labels is not None and self.heads is not None:
            indicators, genomes = tensors(
                self.device, self.labels.indicators(batch.rows), self.labels.genomes[batch.rows]
            )
            losses["terms"], losses["genome"] = self.heads.losses(
                pooled, indicators, genomes.long()
            )
        return losses

    def held_out_loss(self) -> float:
        """Loss, in nats, of the averaged model on the held-out families."""
        settings, held_out = self.settings, self.corpus.held_out
        if settings.objective == "pairs":
            plan = BatchPlan(held_out, crop=settings.crop, seed=1, n_windows=2)
            return held_out_pair_loss(self.averaged, plan, settings.temperature)
        plan = BatchPlan(held_out, crop=512, tokens_per_batch=8192, seed=1)
        return held_out_residue_loss(self.averaged, plan, every=2)

    @torch.no_grad()
    def _average(self) -> None:
        step = self.progress.step
        decay = min(self.settings.ema_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.averaged.parameters()), list(self.model.parameters()), 1 - decay
        )


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
        losses: list[dict[str, float]] = []
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

    def _report(self, losses: list[dict[str, float]]) -> None:
        progress = self.trainer.progress
        if progress.step % self.log_every:
            return
        row = {
            "step": progress.step,
            "residues": progress.residues,
            "seconds": round(progress.seconds, 1),
            "cpu_seconds": round(progress.cpu_seconds, 1),
            "learning_rate": self.trainer.settings.rate_at(progress.step - 1),
            "training_loss": {
                name: round(float(np.mean([step[name] for step in losses])), 4)
                for name in losses[0]
            },
        }
        if progress.step % self.validate_every == 0:
            row["held_out_loss"] = round(self.trainer.held_out_loss(), 4)
        losses.clear()
        progress.curve.append(row)
        logger.info("%s", json.dumps(row))
