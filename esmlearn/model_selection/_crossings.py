"""Independent search of an audit: test rows against training rows of any form of splits."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from esmlearn.clustering import Hits, exact_search, search
from esmlearn.clustering._engines.hits import known_lengths
from esmlearn.clustering._nodes import canonical_sequences, row_digests
from esmlearn.exceptions import DataError
from esmlearn.model_selection._train_validation_test import TrainValidationTestSplit
from esmlearn.utils._parts import PART_NAMES, SET_ASIDE

Split = tuple[str, NDArray[np.intp], NDArray[np.intp]]

_FORMS = (
    "expected (train, test) row indices, one fold label per row, a dict of the parts "
    "train/validation/test, or a splitter"
)


def named_splits(splits: Any, sequences: list[str], y: ArrayLike | None) -> list[Split]:
    """Return (name, train, test) for every way of writing splits that `audit_leakage` takes."""
    n_rows = len(sequences)
    if isinstance(splits, str) or not (hasattr(splits, "split") or isinstance(splits, Iterable)):
        raise DataError(f"splits is of type {type(splits).__name__}; {_FORMS}.")
    if hasattr(splits, "split"):
        splits = splits.split(sequences, y)
    if isinstance(splits, Iterator):  # what a splitter's `split` returns
        splits = list(splits)
    if isinstance(splits, TrainValidationTestSplit):
        splits = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    if isinstance(splits, dict):
        named = _splits_of_parts(splits)
    elif _is_labels(splits, n_rows):
        named = _splits_of_labels(splits)
    elif _is_one_pair(splits):
        named = [("0", splits[0], splits[1])]
    else:
        named = [(str(i), *_pair(pair, i)) for i, pair in enumerate(splits)]
    if not named:
        raise DataError("there are no splits to audit; expected at least one.")
    return [
        (name, _check(train, name, n_rows), _check(test, name, n_rows))
        for name, train, test in named
    ]


def _splits_of_parts(parts: dict[str, Any]) -> list[Split]:
    """Return validation and test against train, and test against validation."""
    known = [PART_NAMES.get(str(name).lower()) for name in parts]
    if None in known or "train" not in known or not 1 < len(known) == len(set(known)):
        raise DataError(
            f"the parts are named {sorted(map(str, parts))}; expected 'train' with 'validation', "
            f"'test' or both."
        )
    arrays = {str(n): np.asarray(rows) for n, rows in zip(known, parts.values(), strict=True)}
    named: list[Split] = [
        (n, arrays["train"], arrays[n]) for n in ("validation", "test") if n in arrays
    ]
    if len(arrays) == 3:
        named.append(("test, validation", arrays["validation"], arrays["test"]))
    return named


def _is_labels(splits: Any, n_rows: int) -> bool:
    """Return whether splits are labels, one for each row; refuse labels of other rows."""
    if not len(splits) or not all(map(_is_scalar, splits)):
        return False
    if len(splits) != n_rows:
        raise DataError(
            f"splits has {len(splits)} labels for {n_rows} sequences; expected one for each."
        )
    return True


def _is_scalar(item: Any) -> bool:
    try:
        return np.ndim(item) == 0
    except ValueError:  # a pair of arrays of different lengths
        return False


def _splits_of_labels(splits: Any) -> list[Split]:
    """Return the parts that labels name, or each fold against all others."""
    labels = np.asarray(splits)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(f"splits has shape {labels.shape}; expected one label per row.")
    missing = np.flatnonzero(pd.isna(labels))
    if len(missing):
        raise DataError(
            f"splits[{missing[0]}] is {labels.tolist()[missing[0]]!r}; expected a label for every "
            f"row. Fill it; negative numbers and {SET_ASIDE!r} mean in no part."
        )
    if labels.dtype.kind in "if":
        kept = labels >= 0
    else:  # text, or text and numbers
        labels = labels.astype(str)
        kept = ~np.isin(labels, (SET_ASIDE, "-1"))
        parts = {name: np.flatnonzero(labels == name) for name in np.unique(labels[kept]).tolist()}
        known = {PART_NAMES.get(name.lower()) for name in parts}
        if "train" in known and None not in known:
            return _splits_of_parts(parts)
    return [
        (str(fold), np.flatnonzero(kept & (labels != fold)), np.flatnonzero(labels == fold))
        for fold in np.unique(labels[kept])
    ]


def _is_one_pair(splits: Any) -> bool:
    """Return whether splits are one (train, test): its parts are flat arrays of rows."""
    return isinstance(splits, tuple | list) and len(splits) == 2 and all(map(_is_rows, splits))


def _is_rows(part: Any) -> bool:
    try:
        array = np.asarray(part)
    except ValueError:  # a pair of arrays of different lengths
        return False
    return array.ndim == 1 and (array.dtype.kind in "iub" or not array.size)


def _pair(pair: Any, index: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    try:
        train, test = pair
    except (TypeError, ValueError) as error:
        raise DataError(f"splits[{index}] is no pair; {_FORMS}.") from error
    return train, test


def _check(rows: ArrayLike, name: str, n_rows: int) -> NDArray[np.intp]:
    indices = np.asarray(rows)
    if indices.dtype == bool:
        if indices.shape != (n_rows,):
            raise DataError(
                f"split {name!r} has a mask of shape {indices.shape}; expected ({n_rows},)."
            )
        indices = np.flatnonzero(indices)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        raise DataError(
            f"split {name!r} has a part of shape {indices.shape} and type {indices.dtype}; "
            f"expected a flat array of row numbers, or a mask of all {n_rows} rows."
        )
    indices = indices.astype(np.intp)
    bad = np.flatnonzero((indices < 0) | (indices >= n_rows))
    if len(bad):
        raise DataError(
            f"split {name!r} has the row {indices[bad[0]]}; expected rows 0-{n_rows - 1}."
        )
    if not len(indices):
        raise DataError(f"split {name!r} has an empty part; expected training and test rows.")
    return indices


@dataclass(frozen=True)
class NodeHits:
    """Significant alignments between distinct sequences, query side first.

    `shorter` and `longer` are the coverages of the shorter and the longer of the two.
    """

    query: NDArray[np.intp]
    target: NDArray[np.intp]
    identity: NDArray[np.float64]
    shorter: NDArray[np.float64]
    longer: NDArray[np.float64]
    evalue: NDArray[np.float64]

    def take(self, selection: NDArray[Any]) -> "NodeHits":
        """Return the hits that an index array or mask selects."""
        return NodeHits(*(getattr(self, name)[selection] for name in self.__dataclass_fields__))


class Proteins:
    """The distinct sequences of some rows."""

    def __init__(self, sequences: list[str]) -> None:
        canonical = canonical_sequences(sequences)
        _, first_row, self.node = np.unique(
            row_digests(sequences), return_index=True, return_inverse=True
        )
        self.sequences = [canonical[i] for i in first_row]
        self.length = known_lengths(self.sequences)

    def search(
        self,
        queries: NDArray[np.intp],
        targets: NDArray[np.intp],
        *,
        engine: str,
        evalue: float,
        n_jobs: int | None,
    ) -> NodeHits:
        """Search nodes against nodes; a node that is on both sides finds itself at identity 1."""
        texts = [[self.sequences[i] for i in nodes] for nodes in (queries, targets)]
        if engine == "exact":
            hits = exact_search(*texts, evalue=evalue, n_jobs=n_jobs)
        else:
            hits = search(*texts, engine=engine, evalue=evalue, n_jobs=n_jobs)
        both = np.intersect1d(queries, targets)
        return self._with_identical(hits, queries, targets, both)

    def _with_identical(
        self,
        hits: Hits,
        queries: NDArray[np.intp],
        targets: NDArray[np.intp],
        both: NDArray[np.intp],
    ) -> NodeHits:
        """Add copies, of which the shortest are not significant with themselves."""
        query, target = queries[hits.query], targets[hits.target]
        query_is_shorter = self.length[query] <= self.length[target]
        other = query != target
        one, zero = np.ones(len(both)), np.zeros(len(both))
        shorter = np.where(query_is_shorter, hits.coverage_query, hits.coverage_target)
        longer = np.where(query_is_shorter, hits.coverage_target, hits.coverage_query)
        return NodeHits(
            np.append(query[other], both),
            np.append(target[other], both),
            np.append(hits.identity[other], one),
            np.append(shorter[other], one),
            np.append(longer[other], one),
            np.append(hits.evalue[other], zero),
        )
