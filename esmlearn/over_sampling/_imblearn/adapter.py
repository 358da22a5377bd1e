"""Adapter that runs an over-sampler of imbalanced-learn on regions of a continuous target."""

import copy
from typing import Any, NamedTuple

import numpy as np
from imblearn.over_sampling import (
    ADASYN,
    SMOTE,
    SVMSMOTE,
    BorderlineSMOTE,
    KMeansSMOTE,
    RandomOverSampler,
)
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC

from esmlearn.exceptions import DataError
from esmlearn.over_sampling._imblearn.augmented_rows import AugmentedRows, NeighborConstraint
from esmlearn.over_sampling._imblearn.proxies import (
    PairLog,
    ProxyKMeans,
    ProxyNeighbors,
    ProxySVM,
)
from esmlearn.utils._random import seed_unseeded

SAMPLERS = {
    "random": RandomOverSampler,
    "smote": SMOTE,
    "adasyn": ADASYN,
    "borderline": BorderlineSMOTE,
    "svm": SVMSMOTE,
    "kmeans": KMeansSMOTE,
}
# These ask for neighbours through the objects they are given, so that only the rows of the wanted
# regions need to be included.
_LOCAL = (SMOTE, ADASYN, BorderlineSMOTE, SVMSMOTE)
_WITH_PROXIES = (*_LOCAL, KMeansSMOTE)


class Rows(NamedTuple):
    """Training rows as every sampler needs them."""

    X: Any
    y: NDArray
    labels: NDArray


class Synthetic(NamedTuple):
    """New rows, with the region each was made for and the two training rows it lies between."""

    X: Any
    y: NDArray
    region: NDArray
    parents: NDArray


def copies(rows: Rows, numbers: NDArray) -> Synthetic:
    """Copy training rows."""
    parents = np.column_stack([numbers, numbers])
    return Synthetic(rows.X[numbers], rows.y[numbers], rows.labels[numbers], parents)


def join(parts: list[Synthetic], rows: Rows) -> Synthetic:
    """Join new rows by region, inside a region in the order in which they were made."""
    if not parts:
        return copies(rows, np.empty(0, dtype=np.intp))
    if len(parts) == 1:
        return parts[0]
    blocks = [part.X for part in parts]
    X = sparse.vstack(blocks, format="csr") if sparse.issparse(rows.X) else np.vstack(blocks)
    y, region = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    parents = np.vstack([part.parents for part in parts])
    order = np.argsort(region, kind="stable")
    return Synthetic(X[order], y[order], region[order], parents[order])


def make_sampler(sampler: Any, *, random_state: int | None) -> Any:
    """Return a fresh sampler, named or cloned, with the seed that is asked for.

    Estimators inside of it that lack a seed get one drawn from the sampler's.
    """
    fresh = SAMPLERS[sampler]() if isinstance(sampler, str) else clone(sampler)
    params = fresh.get_params(deep=False)
    if random_state is not None and "random_state" in params:
        fresh.set_params(random_state=random_state)
    # A generator is copied, so that the sampler's own draws stay those of imbalanced-learn.
    own = copy.deepcopy(params.get("random_state")) if random_state is None else random_state
    seed_unseeded(fresh, own)
    if hasattr(fresh, "_validate_params"):
        # Later proxies take the place of what the user may have got wrong.
        fresh._validate_params()
    return fresh


def neighbors_name(sampler: Any) -> str | None:
    """Name of the parameter that says among how many neighbours a sampler interpolates."""
    params = sampler.get_params(deep=False)
    return next((name for name in ("k_neighbors", "n_neighbors") if name in params), None)


def n_neighbors(sampler: Any) -> int:
    """Return among how many neighbours a sampler interpolates, 0 if it does not."""
    name = neighbors_name(sampler)
    if name is None:
        return 0
    value = sampler.get_params(deep=False)[name]
    return int(value.n_neighbors) - 1 if hasattr(value, "kneighbors") else int(value)


def run_sampler(
    sampler: Any,
    rows: Rows,
    wanted: dict[int, int],
    *,
    constraint: NeighborConstraint | None = None,
    n_jobs: int | None = None,
) -> Synthetic:
    """Bring regions to the wanted numbers of rows with an over-sampler of imbalanced-learn.

    Its features are, bit for bit, those that it gives by itself for the labels of the regions.

    Parameters
    ----------
    sampler : sampler
        Over-sampler of imbalanced-learn or compatible; not kept, its parameters are changed.
    rows : Rows
        Training rows.
    wanted : dict of int to int
        Rows that each region shall have in the end.
    constraint : NeighborConstraint or None
        Which rows may be interpolated with which.
    n_jobs : int or None
        Processes for the neighbour searches.

    Returns
    -------
    synthetic : Synthetic
        The new rows in the sampler's order.

    Raises
    ------
    ValueError, RuntimeError
        What the sampler raises when it cannot make rows.
    DataError
        If the sampler is not an over-sampler, or cannot keep to `constraint`.
    """
    sampler.set_params(sampling_strategy=wanted)
    if type(sampler) is RandomOverSampler:
        return _run_random(sampler, rows)
    has_proxies = type(sampler) in _WITH_PROXIES
    # Borderline-SMOTE 2 interpolates with rows of other regions, too.
    uses_all_rows = getattr(sampler, "kind", None) == "borderline-2"
    if constraint is not None and (not has_proxies or uses_all_rows):
        raise DataError(
            f"{sampler!r} chooses its neighbours by itself and cannot keep to families. Use one "
            'of "random", "smote", "adasyn", "borderline", "svm", "kmeans", or families="any".'
        )
    everything = type(sampler) not in _LOCAL or uses_all_rows
    augmented = AugmentedRows(
        rows.X, rows.y, rows.labels, wanted, everything=everything, constraint=constraint
    )
    log = PairLog()
    if has_proxies:
        _set_proxies(sampler, augmented, log, n_jobs)
    return _resample(sampler, rows, augmented, log)


def _run_random(sampler: RandomOverSampler, rows: Rows) -> Synthetic:
    """Random over-sampling; features are passed through only where it adds noise to them."""
    n = len(rows.labels)
    features = np.arange(n)[:, np.newaxis] if sampler.shrinkage is None else rows.X
    resampled, _ = sampler.fit_resample(features, rows.labels)
    synthetic = copies(rows, sampler.sample_indices_[n:])
    return synthetic if sampler.shrinkage is None else synthetic._replace(X=resampled[n:])


def _set_proxies(sampler: Any, augmented: AugmentedRows, log: PairLog, n_jobs: int | None) -> None:
    """Replace the search, the SVM and the clustering inside a sampler by proxies."""
    params = sampler.get_params(deep=False)
    proxies: dict[str, Any] = {}
    for name in ("k_neighbors", "n_neighbors", "m_neighbors"):
        if name in params:
            # `m_neighbors` only counts who is near; nothing is interpolated with them.
            pairs = None if name == "m_neighbors" else log
            # The search that imbalanced-learn would make of the parameter.
            search = (
                clone(params[name])
                if hasattr(params[name], "kneighbors")
                else NearestNeighbors(n_neighbors=params[name] + 1, n_jobs=n_jobs)
            )
            proxies[name] = ProxyNeighbors(search, augmented, pairs)
    seed = params.get("random_state")
    if "svm_estimator" in params:
        svm = params["svm_estimator"] or SVC(gamma="scale", random_state=seed)
        proxies["svm_estimator"] = ProxySVM(svm, augmented)
    if "kmeans_estimator" in params:
        kmeans = params["kmeans_estimator"]
        if kmeans is None:
            kmeans = MiniBatchKMeans(random_state=seed)
        elif not hasattr(kmeans, "fit"):
            kmeans = MiniBatchKMeans(n_clusters=kmeans, random_state=seed)
        proxies["kmeans_estimator"] = ProxyKMeans(kmeans, augmented)
    sampler.set_params(**proxies)


def _resample(sampler: Any, rows: Rows, augmented: AugmentedRows, log: PairLog) -> Synthetic:
    """Run a sampler on augmented rows and take its new rows apart."""
    matrix, n = augmented.matrix(), len(augmented.numbers)
    resampled, regions = sampler.fit_resample(matrix, rows.labels[augmented.numbers])
    if resampled.shape[0] < n or (resampled[:n] != matrix).sum():
        raise DataError(
            f"{type(sampler).__name__} changed or removed training rows. Only over-samplers, "
            "which append rows, can be used here."
        )
    X, y = augmented.split(resampled[n:])
    region, parents = np.asarray(regions[n:]), log.parents(len(y))
    return Synthetic(X, _clip_to_parents(y, rows, region, parents), region, parents)


def _clip_to_parents(y: NDArray, rows: Rows, region: NDArray, parents: NDArray) -> NDArray:
    """Remove rounding errors of the target column from targets.

    Targets that a rounding error brought out of the range of their parents go back to it. Where
    parents are not known a sampler may have done anything to the column (a geometric sampler
    draws each column by itself), so that the range of the region is the limit.
    """
    if not len(y):
        return y
    if (parents < 0).any():
        for label in np.unique(region):
            members = rows.y[rows.labels == label]
            made = region == label
            y[made] = np.clip(y[made], members.min(), members.max())
        return y
    ends = rows.y[parents]
    inside = np.clip(y, ends.min(axis=1), ends.max(axis=1))
    rounding = 4 * np.finfo(rows.X.dtype).eps * np.abs(ends).max(axis=1)
    return np.where(np.abs(inside - y) <= rounding, inside, y)
