"""Running a model: loaded once per process, within a token budget that gives way to memory."""

import logging
import platform
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from esmlearn.embedding._inference.batches import windows
from esmlearn.embedding._inference.pooling import AsynchronousCopy, Part, WindowPooling
from esmlearn.embedding._models.catalog import Encoder
from esmlearn.embedding._models.families import Source, families, identify
from esmlearn.embedding._models.settings import BFLOAT16_BUT_SCORES, Settings
from esmlearn.exceptions import CheckpointError, DataError, EngineError
from esmlearn.utils._warn import warn

logger = logging.getLogger(__name__)

MODELS_KEPT = 2
_loaded: "OrderedDict[tuple[str, ...], Encoder]" = OrderedDict()
_loading = Lock()
# What memory has held, by model: a batch that failed once is not tried again.
_budgets: dict[str, int] = {}


def resolve_device(device: str) -> str:
    """Return the device of a name, ``"auto"`` included."""
    if device != "auto":
        try:
            kind = torch.device(device).type
        except RuntimeError as error:
            raise DataError(
                f"device={device!r}; expected 'auto', 'cpu', 'mps', 'cuda' or 'cuda:<number>'."
            ) from error
        available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not available.get(kind, True):
            raise DataError(f"device={device!r} is not available here; use device='auto'.")
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_precision(precision: str, device: str) -> str:
    """Return the precision of a name on a device, ``"auto"`` included."""
    has_amx = device == "cpu" and torch.cpu._is_amx_tile_supported()
    if precision == "bfloat16" and device == "cpu" and not has_amx:
        # attention gains nearly nothing by bfloat16 here, and its scores amplify rounding
        return BFLOAT16_BUT_SCORES
    if precision != "auto":
        return precision
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return "bfloat16" if has_amx else "float32"


def load_encoder(settings: Settings) -> Encoder:
    """Return the model, loaded when this process first asks for it."""
    device = resolve_device(settings.device)
    key = (settings.digest, device, settings.precision)
    with _loading:
        if key not in _loaded:
            logger.info("loading %s", settings.path)
            source = Source(families()[settings.family], Path(settings.path))
            _refuse_other_weights(source, settings.digest)
            while len(_loaded) >= MODELS_KEPT:
                _loaded.popitem(last=False)
            _loaded[key] = source.family.load(
                source.path, device=device, precision=settings.precision
            )
        _loaded.move_to_end(key)
        return _loaded[key]


def _refuse_other_weights(source: Source, digest: str) -> None:
    """Refuse a file that is not what vectors will be filed under, here or on another machine."""
    if not source.path.exists():
        raise CheckpointError(
            f"There is no checkpoint {source.path} on {platform.node()}; expected the same file "
            f"under this path on every machine that computes."
        )
    found = identify(source).digest
    if found != digest:
        raise CheckpointError(
            f"The checkpoint {source.path} on {platform.node()} has the digest {found}, expected "
            f"{digest}: it was replaced meanwhile, or is another one on this machine. Run it "
            f"again, or copy the same file to every machine that computes."
        )


def release_models() -> None:
    """Forget the models that this process has loaded, and with them their memory."""
    with _loading:
        _loaded.clear()
        _budgets.clear()


def embed_sequences(
    settings: Settings, sequences: Sequence[str]
) -> list[np.ndarray] | AsynchronousCopy:
    """Embed sequences in one process.

    Parameters
    ----------
    settings : Settings
        Model, layers, pooling and limits.
    sequences : sequence of str
        Checked, upper-case sequences.

    Returns
    -------
    vectors : list of ndarray, or AsynchronousCopy
        float32; (width,) each, or (n_residues, width) without pooling. On a CUDA device they are
        still being copied, so that more work can be prepared meanwhile.
    """
    encoder = load_encoder(settings)
    parts = [
        Part(owner, start, encoder.tokenize(sequence[start:stop]))
        for owner, sequence in enumerate(sequences)
        for start, stop in windows(
            len(sequence), window=settings.window, policy=settings.long_sequences
        )
    ]
    pooling = WindowPooling(settings, encoder, parts)
    with encoder.lock:
        _run_within_memory(encoder, parts, settings, pooling.add)
    copy = pooling.copy
    return copy if copy.is_under_way else copy.result()


def _run_within_memory(
    encoder: Encoder,
    parts: Sequence[Part],
    settings: Settings,
    take: Callable[[Sequence[Part], Sequence[Tensor]], Any],
) -> None:
    """Run parts through the model, halving the number of tokens at once when memory runs out."""
    budget, done = min(settings.budget, _budgets.get(settings.digest, settings.budget)), 0
    while done < len(parts):
        stop = done + 1
        tokens = len(parts[done].tokens)
        while stop < len(parts) and tokens + len(parts[stop].tokens) <= budget:
            tokens += len(parts[stop].tokens)
            stop += 1
        try:
            states = encoder.encode([p.tokens for p in parts[done:stop]], settings.layers)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            budget = _halve(budget, alone=stop == done + 1, length=tokens, error=error)
            _budgets[settings.digest] = budget
            continue
        take(parts[done:stop], states)
        done = stop


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "not enough memory" in str(error) or "can't allocate memory" in str(error)


def _halve(budget: int, *, alone: bool, length: int, error: BaseException) -> int:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if alone:
        raise EngineError(
            f"Memory does not hold a single sequence of {length} tokens. Use a smaller model, "
            f"long_sequences='window', precision='bfloat16' or device='cpu'."
        ) from error
    warn(
        f"Out of memory with {budget} tokens at once; going on with {budget // 2}. Pass "
        f"batch_residues={budget // 2} to begin there.",
    )
    return budget // 2
