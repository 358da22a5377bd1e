"""Bases of the samplers: reading rows, finding and naming their regions, adding rows to them."""

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from imblearn.base import BaseSampler
from imblearn.utils import check_target_type
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.preprocessing import label_binarize
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_consistent_length, validate_data

from esmlearn.exceptions import DataError, ResamplingWarning
from esmlearn.over_sampling._containers import (
    float_types,
    restore_features,
    restore_target,
    stack_rows,
)
from esmlearn.over_sampling._imblearn.adapter import Rows, Synthetic
from esmlearn.over_sampling._regions import TargetRegions, check_region_numbers, make_regions
from esmlearn.over_sampling._target import as_numeric_column, check_continuous_target, is_continuous
from esmlearn.utils._finite import check_finite
from esmlearn.utils._sequences import refuse_text
from esmlearn.utils._targets import check_no_missing
from esmlearn.utils._warn import warn


class BaseRegionSampler(BaseSampler):
    """Base of the samplers that treat regions of a target, or its classes, differently.

    Subclasses have the parameters `regions`, `rare` and `target`.
    """

    _sampling_type = "bypass"
    _parameter_constraints: dict = {
        "regions": [TargetRegions, "array-like", None],
        "rare": ["array-like", None],
        "target": [StrOptions({"auto", "continuous", "classes"})],
    }

    regions: TargetRegions | ArrayLike | None
    rare: ArrayLike | None
    target: str

    def fit(self, X: Any, y: Any) -> "BaseRegionSampler":
        """Check the rows and learn the regions, without resampling.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Target.

        Returns
        -------
        self : object
            The estimator with `regions_` and `sampling_strategy_`.
        """
        self._read(X, y)
        self._plan()
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Resample the rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, 1)
            Target.

        Returns
        -------
        X_resampled : same type as X, of shape (n_resampled, n_features)
            The resampled features.
        y_resampled : same type as y, of shape (n_resampled,) or (n_resampled, 1)
            Their targets; a continuous target that is a column stays one.
        """
        return self._resample(X, y)

    def _plan(self) -> dict:
        """Decide how many rows each region shall have; set `sampling_strategy_`."""
        raise NotImplementedError

    def _resample(self, X: Any, y: Any, **params: Any) -> tuple[Any, Any]:
        """Resample the rows, and return them in the user's containers and dtypes."""
        features, values = self._fit_resample(self._read(X, y), **params)
        copies_only, dtype = self._makes_copies, getattr(X, "dtype", features.dtype)
        if dtype == np.float16 or (copies_only and dtype.kind != "O"):
            features = features.astype(dtype, copy=False)
        features = restore_features(features, X, copies_only=copies_only)
        return features, restore_target(self._target_values(values, y, copies_only), y, features)

    @property
    def _makes_copies(self) -> bool:
        """Whether all resampled rows are copies of training rows, whatever the data."""
        return True

    def _read(self, X: Any, y: Any) -> Rows:
        """Check the rows; learn the regions of a continuous target or the classes of another."""
        self._validate_params()
        # Not every fit learns the same attributes, so those of an earlier one go.
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        if y is None:
            raise DataError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        self._y_was_binarized = False
        if is_continuous(y, self.target) or self._divides_numbers(y):
            rows = self._read_continuous(X, y)
        else:
            rows = self._read_classes(X, y)
        self.n_original_ = len(rows.labels)
        return rows

    def _divides_numbers(self, y: Any) -> bool:
        """Whether `y` is a quantity because the user says how to divide it."""
        if self.target != "auto" or self.regions is None:
            return False
        values = np.ravel(np.asarray(y)).tolist()
        for index, value in enumerate(values):
            if isinstance(value, str) and _is_finite_number(value):
                raise DataError(
                    f"regions divide a quantity, but y[{index}] is {value!r}, which is text; "
                    'expected numbers. Convert y, as by y.astype(float), or say target="classes".'
                )
        return all(isinstance(v, Real | None) and not isinstance(v, bool) for v in values)

    def _read_continuous(self, X: Any, y: Any) -> Rows:
        target = as_numeric_column(y)
        check_consistent_length(X, target)
        features = self._check_features(X)
        check_continuous_target(target)
        self.regions_ = make_regions(self.regions).fit(target)
        self.region_names_ = np.arange(self.regions_.n_regions_)
        labels = self.regions_.region(target)
        self.counts_ = self.regions_.counts_
        self.rare_ = (
            self.regions_.rare_
            if self.rare is None
            else check_region_numbers(self.rare, self.regions_.n_regions_)
        )
        return Rows(features, target, labels)

    def _read_classes(self, X: Any, y: Any) -> Rows:
        check_no_missing(y, "y")
        column, self._y_was_binarized = check_target_type(y, indicate_one_vs_all=True)
        column = column_or_1d(column)
        check_consistent_length(X, column)
        features = self._check_features(X)
        self.regions_ = None
        self.region_names_, labels = np.unique(column, return_inverse=True)
        if len(self.region_names_) < 2:
            raise DataError(
                f"y has only one class, {self._region_name(0)!r}, so that no class is rare. "
                'If y is a quantity, say target="continuous".'
            )
        self.counts_ = np.bincount(labels)
        self.rare_ = (
            self.counts_ < len(labels) / len(self.counts_)
            if self.rare is None
            else self._class_mask(self.rare)
        )
        return Rows(features, labels.astype(np.float64), labels)

    def _check_features(self, X: Any) -> Any:
        refuse_text(X)
        features = validate_data(
            self,
            X=X,
            reset=True,
            accept_sparse=["csr", "csc"] if self.__sklearn_tags__().input_tags.sparse else False,
            dtype=float_types(X),
            ensure_all_finite=sparse.issparse(X),
            ensure_min_samples=2,
        )
        check_finite(features, "X")
        # float16 holds too few digits for distances; the result is rounded back.
        return features.astype(np.float32) if features.dtype == np.float16 else features

    def _class_mask(self, names: ArrayLike) -> NDArray:
        mask = np.zeros(len(self.region_names_), dtype=bool)
        for i, name in enumerate(np.atleast_1d(np.asarray(names, dtype=object)).tolist()):
            found = np.flatnonzero(self.region_names_ == name)
            if not found.size:
                raise DataError(
                    f"Class {name!r} (at index {i}) is not in y, which has the classes "
                    f"{self.region_names_.tolist()}."
                )
            mask[found] = True
        return mask

    def _region_number(self, name: Any) -> int:
        """Position of a region or class that the user names."""
        if self.regions_ is None:
            return int(np.flatnonzero(self._class_mask([name]))[0])
        return int(np.flatnonzero(check_region_numbers([name], len(self.region_names_)))[0])

    def _region_name(self, number: int) -> Any:
        """Name of a region or class, as a plain Python value."""
        return self.region_names_.tolist()[number]

    def _region_text(self, number: int) -> str:
        """Name a region or class in a message."""
        count = self.counts_[number]
        if self.regions_ is None:
            return f"Class {self._region_name(number)!r} ({count} rows)"
        low, high = self.regions_.table().loc[number, ["low", "high"]]
        bounds = f"{low:g} to {high:g}"
        if low == high:  # a given edge beyond all targets
            bounds = f"below {high:g}" if number == 0 else f"{low:g} and more"
        return f"Region {number} ({bounds}, {count} rows)"

    def _target_values(self, target: NDArray, y: Any, copies_only: bool) -> NDArray:
        """Give a target its class names or its number type back."""
        if self.regions_ is None:
            names = self.region_names_[target.astype(np.intp)]
            if self._y_was_binarized:
                return label_binarize(names, classes=self.region_names_)
            return names
        given = np.asarray(y)
        if given.dtype.kind == "f" or copies_only:
            target = target.astype(given.dtype)
        return target.reshape(-1, *given.shape[1:])  # a skorch net wants its target as a column

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.sampler_tags.sample_indices = self._makes_copies
        return tags


class BaseOverSampler(BaseRegionSampler):
    """Base of the samplers that append rows to rare regions, and keep a record of them.

    Subclasses have the parameter `level`.
    """

    _parameter_constraints: dict = {
        **BaseRegionSampler._parameter_constraints,
        "level": [Interval(Real, 0, None, closed="left"), StrOptions({"balance"}), dict],
    }

    level: float | dict | str

    def _plan(self) -> dict[int, int]:
        """Decide how many rows each region gets; set `sampling_strategy_`."""
        if isinstance(self.level, dict):
            percent = self._percent_by_region(self.level)
            n_new = {r: self._rows_by_percent(r, percent[r]) for r in sorted(percent)}
        else:
            n_new = {r: self._rows_by_level(r) for r in np.flatnonzero(self.rare_).tolist()}
        if not n_new and not self._is_off:
            warn(
                "No region of the target is rare, so no rows were added. Name regions with rare= "
                "or level=, or lower the threshold of TargetRegions.",
                ResamplingWarning,
            )
        self.sampling_strategy_ = {
            self._region_name(r): int(self.counts_[r] + n) for r, n in n_new.items()
        }
        return n_new

    def _percent_by_region(self, level: dict) -> dict[int, float]:
        """Return percentages by position; -1 and the last number are one region, not two."""
        for name, percent in level.items():
            if not isinstance(percent, Real) or not 0 <= float(percent) < float("inf"):
                raise DataError(
                    f"level[{name!r}] is {percent!r}: expected a percentage of at least 0, such as "
                    "200."
                )
        named: dict[int, Any] = {}
        for name in level:
            first = named.setdefault(self._region_number(name), name)
            if first is not name:
                raise DataError(
                    f"level[{first!r}] is {level[first]!r} and level[{name!r}] is "
                    f"{level[name]!r}, but {first!r} and {name!r} name the same region. Give each "
                    "region one percentage."
                )
        return {region: level[name] for region, name in named.items()}

    @property
    def _is_off(self) -> bool:
        """Whether the user switched resampling off."""
        return False

    def _rows_by_level(self, region: int) -> int:
        if self.level == "balance":
            return int(self.counts_.max() - self.counts_[region])
        return self._rows_by_percent(region, self.level)

    def _rows_by_percent(self, region: int, percent: Any) -> int:
        n_new = round(self.counts_[region] * percent / 100)
        if percent and self.counts_[region] and not n_new and not self._is_off:
            warn(
                f"level: {percent:g}% of {self._region_text(region)} is no row, so nothing was "
                "added. 100 doubles the rows, 200 makes three times as many.",
                ResamplingWarning,
            )
        return n_new

    def _append(
        self,
        rows: Rows,
        synthetic: Synthetic,
        n_new: dict[int, int],
        *,
        used: dict[int, str],
        notes: dict[int, list[str]],
    ) -> tuple[Any, NDArray]:
        """Append new rows to the training rows, and keep a record of them."""
        self.synthetic_region_ = self.region_names_[synthetic.region]
        self.parents_ = synthetic.parents
        if self._makes_copies:
            originals = np.arange(self.n_original_)
            self.sample_indices_ = np.concatenate([originals, synthetic.parents[:, 0]])
        regions = list(n_new)
        notes = notes | self._notes_on_empty(regions)
        self.report_ = pd.DataFrame(
            {
                "n_members": self.counts_[regions].astype(int),
                "n_asked": np.array(list(n_new.values()), dtype=int),
                "n_made": [int(np.sum(synthetic.region == r)) for r in regions],
                "n_outside": [self._count_outside(synthetic, r) for r in regions],
                "sampler": [used.get(r, "") for r in regions],
                "notes": ["; ".join(notes.get(r, [])) for r in regions],
            },
            index=pd.Index(self.region_names_[regions], name="region"),
        )
        features = stack_rows(rows.X, [synthetic.X] if len(synthetic.y) else [])
        return features, np.concatenate([rows.y, synthetic.y])

    def _notes_on_empty(self, regions: list[int]) -> dict[int, list[str]]:
        """Warn about regions without members, from which no rows can be made."""
        empty = [] if self._is_off else [r for r in regions if not self.counts_[r]]
        for region in empty:
            text = f"{self._region_text(region)}: it has no members, so nothing was added."
            warn(text, ResamplingWarning)
        return {region: ["it has no members, so nothing was added"] for region in empty}

    def _count_outside(self, synthetic: Synthetic, region: int) -> int:
        """New rows whose target lies outside of the region they were made for."""
        if self.regions_ is None:
            return 0
        made = synthetic.y[synthetic.region == region]
        return int(np.sum(self.regions_.region(made) != region))


def take_rows(X: Any, numbers: NDArray) -> Any:
    """Rows of a matrix by number; sparse matrices keep their format."""
    return X[numbers].asformat(X.format) if sparse.issparse(X) else X[numbers]


def _is_finite_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
