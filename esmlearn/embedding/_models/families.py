"""Model families: which one reads a checkpoint, and what the file is.

A family is registered by a line in `families`; CONTRIBUTING.md shows how to add one. Digest and
description of a file are remembered on disk until it is touched: hashing gigabytes takes seconds,
describing a network imports torch, and a request that is cached should do neither.
"""

import difflib
import json
import os
import zipfile
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from hashlib import blake2b, file_digest
from pathlib import Path

from esmlearn.embedding._models.catalog import (
    RELEASED_MODELS,
    Encoder,
    Family,
    ModelInfo,
    describe_architecture,
)
from esmlearn.embedding._models.checkpoint import (
    check_finite_weights,
    checkpoint_place,
    fetch_checkpoint,
    read_checkpoint,
)
from esmlearn.exceptions import CheckpointError
from esmlearn.utils._paths import atomic_write, cache_directory


def _names(path: Path) -> bytes:
    """Return the part of a checkpoint that names its tensors, without importing torch."""
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next(e for e in archive.infolist() if e.filename.endswith("/data.pkl"))
            # torch compresses nothing, and what is packed may unpack to anything
            return archive.read(entry) if entry.compress_type == zipfile.ZIP_STORED else b""
    except (
        zipfile.BadZipFile,
        StopIteration,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ):
        with open(path, "rb") as file:  # from before torch 1.6, or damaged
            return file.read(1 << 20)


class ESMFamily(Family):
    """ESM-1, ESM-1b, ESM-1v and ESM-2 in the two file formats of fair-esm 2.0.0."""

    name = "esm"
    models = RELEASED_MODELS
    aliases = {"esm1v_t33_650M_UR90S": "esm1v_t33_650M_UR90S_1"}

    def place(self, name: str) -> Path:
        """Return the file in torch's hub folder."""
        return checkpoint_place(name)

    def locate(self, name: str) -> Path:
        """Return the file in torch's hub folder, downloaded from fair-esm's address if missing."""
        return fetch_checkpoint(name)

    def recognises(self, path: Path) -> bool:
        """Tell whether the file holds the arguments and the tensors of an ESM network."""
        names = _names(path)
        return b"embed_tokens.weight" in names and (b"args" in names or b"cfg" in names)

    def describe(self, path: Path) -> ModelInfo:
        """Return what the file's arguments and the names of its tensors say."""
        return read_checkpoint(path).info

    def load(self, path: Path, *, device: str, precision: str) -> Encoder:
        """Return the packed encoder with the file's weights."""
        from esmlearn.embedding._models.encoder import ESMEncoder  # imports torch

        checkpoint = read_checkpoint(path)
        check_finite_weights(checkpoint)
        return ESMEncoder(checkpoint, device=device, precision=precision)


_MODEL_CARD = "docs/model_card_esmlearn_mini_v3.md"


class BundledFamily(ESMFamily):
    """Small models in ESM-2's architecture and fair-esm's file format, trained for esmlearn."""

    name = "bundled"
    models = (
        replace(
            describe_architecture("esmlearn_mini_v3", "esm2", 6, 256, 8, _MODEL_CARD), family=name
        ),
    )
    aliases = {}

    def place(self, name: str) -> Path:
        """Return the file inside the package."""
        return Path(__file__).parents[1] / "checkpoints" / f"{name}.pt"

    def locate(self, name: str) -> Path:
        """Return the same."""
        return self.place(name)

    def recognises(self, path: Path) -> bool:
        """Leave files to the family whose format they have."""
        return False


# Registry ----------------------------------------------------------------------------------------


@cache
def families() -> dict[str, Family]:
    """Return the families by name, in the order in which they are asked about a file."""
    return {family.name: family for family in (ESMFamily(), BundledFamily())}


@dataclass(frozen=True)
class Source:
    """A checkpoint file and the family that reads it."""

    family: Family
    path: Path


def _known_models() -> dict[str, ModelInfo]:
    return {info.name: info for family in families().values() for info in family.models}


def list_models() -> list[str]:
    """Return the names of the models that can be fetched, smallest first inside a family.

    Returns
    -------
    names : list of str
        Each can be given to ESMEmbedder and to model_info.

    Examples
    --------
    >>> from esmlearn.embedding import list_models
    >>> [name for name in list_models() if name.startswith("esm2")][:2]
    ['esm2_t6_8M_UR50D', 'esm2_t12_35M_UR50D']
    """
    return list(_known_models())


def model_info(model: str | os.PathLike[str]) -> ModelInfo:
    """Return what is known of a model, without downloading or loading it.

    Parameters
    ----------
    model : str or path-like
        A name out of list_models(), or a checkpoint file.

    Returns
    -------
    info : ModelInfo
        Layers, width, context, size, paper.

    Raises
    ------
    CheckpointError
        If the name is unknown, or the file is no checkpoint of a known family.

    Examples
    --------
    >>> from esmlearn.embedding import model_info
    >>> info = model_info("esm1v_t33_650M_UR90S_1")
    >>> info.n_layers, info.width, info.max_residues
    (33, 1280, 1022)
    """
    known = known_model(model)
    if known is not None:
        return known
    source = resolve_model(model)
    return source.family.describe(source.path)


def known_model(model: str | os.PathLike[str]) -> ModelInfo | None:
    """Return what is known of a model by its name; None if it is no name."""
    return _known_models().get(_resolve_alias(os.fspath(model)))


def resolve_model(model: str | os.PathLike[str]) -> Source:
    """Return the checkpoint behind a name or a path; a named one is fetched where needed."""
    name = _resolve_alias(os.fspath(model))
    for family in families().values():
        if any(info.name == name for info in family.models):
            return Source(family, family.locate(name))
    path = Path(model).expanduser()
    if not path.is_file():
        raise CheckpointError(_unknown_model_message(name))
    for family in families().values():
        if family.recognises(path):
            return Source(family, path.resolve())
    raise CheckpointError(
        f"{path} is no checkpoint of a known model family ({', '.join(families())}); expected a "
        f"file that fair-esm released or write_untrained_checkpoint wrote. One of that kind may be "
        f"damaged or cut short: fetch it again."
    )


def _resolve_alias(name: str) -> str:
    for family in families().values():
        name = family.aliases.get(name, name)
    return name


def _unknown_model_message(name: str) -> str:
    close = difflib.get_close_matches(name, _known_models(), n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return (
        f"model={name!r} is neither the name of a model nor an existing file; expected a name out "
        f"of esmlearn.embedding.list_models() or the path of a checkpoint.{hint}"
    )


# Identity of a file ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Identity:
    """A checkpoint's content and shape.

    Attributes
    ----------
    digest : str
        BLAKE2b of the whole file, 32 hexadecimal digits.
    info : ModelInfo
        Layers, width, context.
    """

    digest: str
    info: ModelInfo


def identify(source: Source) -> Identity:
    """Return digest and description of a checkpoint, remembered while the file is untouched."""
    status = source.path.stat()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    key = "|".join([source.family.name, str(source.path), *map(str, stamp)])
    # part of the memo's key: tests and users move the cache between calls
    return _identify(key, source.family.name, source.path, cache_directory("embeddings"))


def is_here(model: str | os.PathLike[str]) -> bool:
    """Tell whether a model can be had without fetching it; true of every path."""
    known = known_model(model)
    if known is None:
        return True
    place = families()[known.family].place(known.name)
    return place is not None and place.is_file()


def describe_without_fetching(model: str | os.PathLike[str]) -> ModelInfo:
    """Return the description of a checkpoint or, where it is not there yet, of its name."""
    known = known_model(model)
    return (
        known if known is not None and not is_here(model) else identify(resolve_model(model)).info
    )


@lru_cache(maxsize=32)
def _identify(key: str, family: str, path: Path, memory: Path) -> Identity:
    file = memory / "checkpoints" / f"{blake2b(key.encode(), digest_size=16).hexdigest()}.json"
    # an unreadable memory, or a read-only or full disk, costs the time of hashing, nothing else
    with suppress(OSError, ValueError, TypeError, KeyError):
        known = json.loads(file.read_bytes())
        if known["key"] == key:
            return Identity(known["digest"], ModelInfo(**known["info"]))
    with open(path, "rb") as content:
        digest = file_digest(content, lambda: blake2b(digest_size=16)).hexdigest()
    identity = Identity(digest, families()[family].describe(path))
    with suppress(OSError), atomic_write(file) as temporary:
        temporary.write_text(json.dumps({"key": key, **asdict(identity)}))
    return identity
