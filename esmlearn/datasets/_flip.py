"""The FLIP benchmark's per-protein sets, from its repository at one commit."""

import io
import os
import zipfile
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sklearn.utils import Bunch

from esmlearn.datasets._bunch import make_bunch
from esmlearn.datasets._fetch import RemoteFile, fetch_file
from esmlearn.exceptions import DataError

_COMMIT = "62cace8735f5610e2743cf06ce0f944b37fffaa6"
_FOLDER = f"https://raw.githubusercontent.com/J-SNACKKB/FLIP/{_COMMIT}/splits"

_FLIP = """\

From the FLIP benchmark (Dallago et al. 2021; Academic Free License 3.0), repository J-SNACKKB/FLIP
at commit {commit}, file splits/{name}, member {member}. Rows without a set or a target
({left_out} here) are left out: they are not part of this split.
"""


@dataclass(frozen=True)
class _FlipSet:
    """One set of FLIP: its file, its splits and what it is."""

    file: RemoteFile
    splits: tuple[str, ...]
    numeric: bool
    descr: str


_SETS = {
    "meltome": _FlipSet(
        RemoteFile(_FOLDER, "meltome/splits.zip", "94b82305ccf0ca8a979771ae6edfd27824fdf2d4"),
        ("mixed", "human", "human_cell"),
        True,
        "Melting temperatures (degrees Celsius) of the Meltome Atlas (Jarzab et al. 2020, Nat. "
        "Methods 17, 495-503). Test clusters share less than 20 % identity with training ones.",
    ),
    "gb1": _FlipSet(
        RemoteFile(
            _FOLDER,
            "gb1/splits.zip",
            "5086ae0e4a5f397672feb39b04d71fe8f5d34ae9",
            "00a3c3d5be56ce35adfbec838db8ff549be369525e151a6978133da34b9fd86f",
        ),
        ("one_vs_rest", "two_vs_rest", "three_vs_rest", "low_vs_high", "sampled"),
        True,
        "Binding fitness (wild type 1) of variants of protein G's domain B1 at four positions (Wu "
        "et al. 2016, eLife 5, e16965). All variants are one family.",
    ),
    "aav": _FlipSet(
        RemoteFile(_FOLDER, "aav/splits.zip", "f7a2daee64e0ce9d0de6047fc5fb073f57603dd3"),
        (
            "des_mut",
            "mut_des",
            "one_vs_many",
            "two_vs_many",
            "seven_vs_many",
            "low_vs_high",
            "sampled",
        ),
        True,
        "Viral selection scores of capsid variants of adeno-associated virus 2, residues 561 to "
        "588 (Bryant et al. 2021, Nat. Biotechnol. 39, 691-696). All variants are one family.",
    ),
    "scl": _FlipSet(
        RemoteFile(_FOLDER, "scl/splits.zip", "a2db6c2b23db4497625fd350354592dad1b3ce71"),
        (
            "mixed_soft",
            "mixed_hard",
            "human_soft",
            "human_hard",
            "balanced",
            "mixed_vs_human_2",
        ),
        False,
        "Subcellular locations in ten classes of DeepLoc (Almagro Armenteros et al. 2017, "
        "Bioinformatics 33, 3387-3395; Stärk et al. 2021, Bioinform. Adv. 1, vbab035; for "
        "mixed_vs_human_2 Thumuluri et al. 2022, Nucleic Acids Res. 50, W228-W234, several "
        "locations joined by ';').",
    ),
}
#: The file names that differ from the names of the splits.
_MEMBERS = {("meltome", "mixed"): "mixed_split"}


def fetch_flip_meltome(
    split: str = "mixed",
    *,
    subset: str = "all",
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Fetch melting temperatures of proteins (FLIP; regression, long right tail).

    Parameters
    ----------
    split : {"mixed", "human", "human_cell"}, default="mixed"
        Proteins of 13 species, of human cells, or of one human cell line.
    subset : {"all", "train", "validation", "test"}, default="all"
        Which part of the split; ``"train"`` is without the validation part.
    data_home : path-like or None, default=None
        Where downloads lie; None for ``datasets`` in esmlearn's cache.
    download_if_missing : bool, default=True
        Download what is not there. False never touches the network.
    return_X_y : bool, default=False
        Return ``(data, target)`` alone.
    as_frame : bool, default=False
        Return pandas objects for ``data`` and ``target``.

    Returns
    -------
    bunch : Bunch
        ``data`` (sequences), ``target`` (degrees Celsius), ``ids`` (numbered, as FLIP has none),
        ``frame`` (also ``split``: train, validation or test), ``DESCR``, ``filename`` and its
        ``sha256``.

    Raises
    ------
    DownloadError
        If there is no copy and none can be had, or if its checksum is another.
    EngineNotFoundError
        If pooch (extra ``fetch``) is needed and not installed.

    Notes
    -----
    The file must have git's own id of FLIP's file. It was not at hand when its reader was written,
    which follows FLIP's description of the columns; the reader of GB1 was run on the real file.

    References
    ----------
    Dallago et al. (2021). FLIP: benchmark tasks in fitness landscape inference for proteins.
    NeurIPS Datasets and Benchmarks.

    Jarzab et al. (2020). Meltome atlas: thermal proteome stability across the tree of life. Nat.
    Methods 17, 495-503.

    Examples
    --------
    >>> from esmlearn.datasets import fetch_flip_meltome
    >>> proteins = fetch_flip_meltome("human", subset="train")  # doctest: +SKIP
    """
    options = {"data_home": data_home, "download_if_missing": download_if_missing}
    return _fetch("meltome", split, subset, return_X_y=return_X_y, as_frame=as_frame, **options)


def fetch_flip_gb1(
    split: str = "two_vs_rest",
    *,
    subset: str = "all",
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Fetch the binding fitness of 8,733 variants of protein G's domain B1 (FLIP; regression).

    All variants are one family: folds by homology cannot be made of them. The splits test how far
    a model reaches from few mutations to many, or from low fitness to high.

    Parameters
    ----------
    split : {"one_vs_rest", "two_vs_rest", "three_vs_rest", "low_vs_high", "sampled"}, \
default="two_vs_rest"
        Train on up to so many mutations, on variants below the wild type, or on a random 80 %.
    subset : {"all", "train", "validation", "test"}, default="all"
        Which part of the split; ``"train"`` is without the validation part.
    data_home : path-like or None, default=None
        Where downloads lie; None for ``datasets`` in esmlearn's cache.
    download_if_missing : bool, default=True
        Download what is not there. False never touches the network.
    return_X_y : bool, default=False
        Return ``(data, target)`` alone.
    as_frame : bool, default=False
        Return pandas objects for ``data`` and ``target``.

    Returns
    -------
    bunch : Bunch
        ``data`` (sequences), ``target`` (fitness, wild type 1), ``ids`` (numbered, as FLIP has
        none), ``frame`` (also ``split``: train, validation or test), ``DESCR``, ``filename`` and
        its ``sha256``.

    Raises
    ------
    DownloadError
        If there is no copy and none can be had, or if its checksum is another.
    EngineNotFoundError
        If pooch (extra ``fetch``) is needed and not installed.

    References
    ----------
    Dallago et al. (2021). FLIP: benchmark tasks in fitness landscape inference for proteins.
    NeurIPS Datasets and Benchmarks.

    Wu et al. (2016). Adaptation in protein fitness landscapes is facilitated by indirect paths.
    eLife 5, e16965.

    Examples
    --------
    >>> from esmlearn.datasets import fetch_flip_gb1
    >>> variants = fetch_flip_gb1("three_vs_rest", subset="test")  # doctest: +SKIP
    """
    options = {"data_home": data_home, "download_if_missing": download_if_missing}
    return _fetch("gb1", split, subset, return_X_y=return_X_y, as_frame=as_frame, **options)


def fetch_flip_aav(
    split: str = "seven_vs_many",
    *,
    subset: str = "all",
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Fetch the viral selection of capsid variants of adeno-associated virus (FLIP; regression).

    All variants are one family: folds by homology cannot be made of them. Some end early: their
    sequences hold ``*``, which ESM does not know.

    Parameters
    ----------
    split : {"des_mut", "mut_des", "one_vs_many", "two_vs_many", "seven_vs_many", "low_vs_high", \
"sampled"}, default="seven_vs_many"
        Train on designed or on mutated variants, on up to so many mutations, on variants below
        the wild type, or on a random 80 %.
    subset : {"all", "train", "validation", "test"}, default="all"
        Which part of the split; ``"train"`` is without the validation part.
    data_home : path-like or None, default=None
        Where downloads lie; None for ``datasets`` in esmlearn's cache.
    download_if_missing : bool, default=True
        Download what is not there. False never touches the network.
    return_X_y : bool, default=False
        Return ``(data, target)`` alone.
    as_frame : bool, default=False
        Return pandas objects for ``data`` and ``target``.

    Returns
    -------
    bunch : Bunch
        ``data`` (sequences), ``target`` (selection score), ``ids`` (numbered, as FLIP has none),
        ``frame`` (also ``split``: train, validation or test), ``DESCR``, ``filename`` and its
        ``sha256``.

    Raises
    ------
    DownloadError
        If there is no copy and none can be had, or if its checksum is another.
    EngineNotFoundError
        If pooch (extra ``fetch``) is needed and not installed.

    Notes
    -----
    The file must have git's own id of FLIP's file. It was not at hand when its reader was written,
    which follows FLIP's description of the columns; the reader of GB1 was run on the real file.

    References
    ----------
    Dallago et al. (2021). FLIP: benchmark tasks in fitness landscape inference for proteins.
    NeurIPS Datasets and Benchmarks.

    Bryant et al. (2021). Deep diversification of an AAV capsid protein by machine learning. Nat.
    Biotechnol. 39, 691-696.

    Examples
    --------
    >>> from esmlearn.datasets import fetch_flip_aav
    >>> variants = fetch_flip_aav("one_vs_many")  # doctest: +SKIP
    """
    options = {"data_home": data_home, "download_if_missing": download_if_missing}
    return _fetch("aav", split, subset, return_X_y=return_X_y, as_frame=as_frame, **options)


def fetch_flip_scl(
    split: str = "mixed_hard",
    *,
    subset: str = "all",
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Bunch | tuple[Any, Any]:
    """Fetch subcellular locations of proteins (FLIP; ten classes).

    Parameters
    ----------
    split : {"mixed_soft", "mixed_hard", "human_soft", "human_hard", "balanced", \
"mixed_vs_human_2"}, default="mixed_hard"
        Test proteins of DeepLoc (soft) or of a harder set, of all species or of human alone; the
        harder set with balanced classes; or DeepLoc 2 with several locations joined by ``;``.
    subset : {"all", "train", "validation", "test"}, default="all"
        Which part of the split; ``"train"`` is without the validation part.
    data_home : path-like or None, default=None
        Where downloads lie; None for ``datasets`` in esmlearn's cache.
    download_if_missing : bool, default=True
        Download what is not there. False never touches the network.
    return_X_y : bool, default=False
        Return ``(data, target)`` alone.
    as_frame : bool, default=False
        Return pandas objects for ``data`` and ``target``.

    Returns
    -------
    bunch : Bunch
        ``data`` (sequences), ``target`` (locations), ``ids`` (numbered, as FLIP has none),
        ``frame`` (also ``split``: train, validation or test), ``target_names``, ``DESCR``,
        ``filename`` and its ``sha256``.

    Raises
    ------
    DownloadError
        If there is no copy and none can be had, or if its checksum is another.
    EngineNotFoundError
        If pooch (extra ``fetch``) is needed and not installed.

    Notes
    -----
    The file must have git's own id of FLIP's file. It was not at hand when its reader was written,
    which follows FLIP's description of the columns; the reader of GB1 was run on the real file.

    References
    ----------
    Dallago et al. (2021). FLIP: benchmark tasks in fitness landscape inference for proteins.
    NeurIPS Datasets and Benchmarks.

    Stärk et al. (2021). Light attention predicts protein location from the language of life.
    Bioinformatics Advances 1, vbab035.

    Examples
    --------
    >>> from esmlearn.datasets import fetch_flip_scl
    >>> proteins = fetch_flip_scl("mixed_soft", as_frame=True)  # doctest: +SKIP
    """
    options = {"data_home": data_home, "download_if_missing": download_if_missing}
    return _fetch("scl", split, subset, return_X_y=return_X_y, as_frame=as_frame, **options)


def _fetch(
    name: str, split: str, subset: str, *, return_X_y: bool, as_frame: bool, **options: Any
) -> Bunch | tuple[Any, Any]:
    """Fetch one split of one set."""
    chosen = _SETS[name]
    _check_choice("split", split, chosen.splits)
    _check_choice("subset", subset, ("all", "train", "validation", "test"))
    path = fetch_file(chosen.file, **options)
    member = f"splits/{_MEMBERS.get((name, split), split)}.csv"
    raw = _read_member(path, member)
    frame = _tidy(raw, f"{path}: {member}", prefix=f"{name}_{split}", numeric=chosen.numeric)
    left_out = len(raw) - len(frame)
    if subset != "all":
        frame = frame[frame["split"] == subset]
    source = {"commit": _COMMIT, "name": chosen.file.name, "member": member, "left_out": left_out}
    descr = chosen.descr + "\n" + _FLIP.format(**source)
    return make_bunch(frame, path, descr, return_X_y=return_X_y, as_frame=as_frame)


def _check_choice(parameter: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataError(f"{parameter} is {value!r}; expected one of {', '.join(known)}.")


def _read_member(path: Any, member: str) -> pd.DataFrame:
    with zipfile.ZipFile(path) as archive:
        if member not in archive.namelist():
            raise DataError(f"{path} has no {member}; it has {', '.join(archive.namelist())}.")
        return pd.read_csv(io.BytesIO(archive.read(member)), dtype={"validation": object})


def _tidy(raw: pd.DataFrame, where: str, *, prefix: str, numeric: bool) -> pd.DataFrame:
    """Return id, sequence, target and split (train, validation or test) of the rows in use."""
    # Of DeepLoc 2 the locations lie in a column of their own, and the target is empty.
    target = "Classes" if "Classes" in raw.columns else "target"
    missing = {"sequence", target, "set"} - set(raw.columns)
    if missing:
        raise DataError(
            f"{where} has no column {sorted(missing)[0]!r}; it has {list(raw.columns)}."
        )
    split = raw["set"].astype("object")
    if "validation" in raw.columns:
        validated = raw["validation"].astype(str).str.lower() == "true"
        split = split.mask(validated & (split == "train"), "validation")
    frame = pd.DataFrame(
        {
            "id": [f"{prefix}_{i}" for i in range(len(raw))],
            "sequence": raw["sequence"],
            "target": raw[target].astype(float if numeric else "object"),
            "split": split,
        }
    )
    return frame.dropna()
