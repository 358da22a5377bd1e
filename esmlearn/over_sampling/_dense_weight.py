"""DenseWeightRegressor: weights for rare targets instead of more rows."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, _fit_context, clone
from sklearn.linear_model import Ridge
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from esmlearn.exceptions import DataError
from esmlearn.over_sampling._regions import TargetRegions
from esmlearn.utils._finite import check_finite


class DenseWeightRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Fit a regressor with sample weights that grow where the target is sparse.

    The alternative to resampling, for the same grid: ``alpha=0`` is no weighting. No row is made
    up, and fitting takes no longer.

    Parameters
    ----------
    regressor : regressor, default=None
        Its `fit` must take `sample_weight`; ``Ridge()`` unless given.
    alpha : float, default=1.0
        Strength of the weights, see `TargetRegions.weights`.
    bandwidth : float, default=None
        Width of the kernel of the density in units of the target; by Silverman's rule unless given.

    Attributes
    ----------
    regressor_ : regressor
        The fitted regressor.
    regions_ : TargetRegions
        Regions with the density of the training targets.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    RegionOverSampler : Adds rows instead.

    References
    ----------
    .. [1] M. Steininger et al., "Density-based weighting for imbalanced regression", Machine
       Learning 110, 2187-2211, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from esmlearn.over_sampling import DenseWeightRegressor
    >>> X = np.linspace(0, 1, 50)[:, np.newaxis] ** 3
    >>> plain, weighted = (DenseWeightRegressor(alpha=a).fit(X, X.ravel()) for a in (0, 1))
    >>> bool(abs(weighted.predict([[1.0]])[0] - 1) < abs(plain.predict([[1.0]])[0] - 1))
    True
    """

    _parameter_constraints: dict = {
        "regressor": [HasMethods(["fit", "predict"]), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "bandwidth": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self, regressor: Any = None, *, alpha: float = 1.0, bandwidth: float | None = None
    ) -> None:
        self.regressor = regressor
        self.alpha = alpha
        self.bandwidth = bandwidth

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        **fit_params: Any,
    ) -> "DenseWeightRegressor":
        """Weight the rows by their targets, and fit the regressor.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights that are multiplied with those of the targets. The density of the targets
            counts each row once.
        **fit_params : dict
            Further parameters of the regressor's `fit`.

        Returns
        -------
        self : DenseWeightRegressor
            The fitted estimator.

        Raises
        ------
        DataError
            If the regressor takes no sample weights, the target is constant, or a value is NaN or
            infinite.
        """
        check_finite(np.asarray(y), "y")
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            ensure_all_finite=sparse.issparse(X),
            y_numeric=True,
        )
        check_finite(X, "X")
        self.regressor_ = Ridge() if self.regressor is None else clone(self.regressor)
        if not has_fit_parameter(self.regressor_, "sample_weight"):
            raise DataError(
                f"{type(self.regressor_).__name__}.fit takes no sample_weight, so its rows cannot "
                "be weighted. Use another regressor, or resample with RegionOverSampler."
            )
        self.regions_ = TargetRegions("density", bandwidth=self.bandwidth).fit(y)
        weights = self.regions_.weights(y, alpha=self.alpha)
        if sample_weight is not None:
            weights = weights * _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        self.regressor_.fit(X, y, sample_weight=weights, **fit_params)
        return self

    def predict(self, X: ArrayLike) -> NDArray:
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Predicted targets.
        """
        check_is_fitted(self, "regressor_")
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        return np.asarray(self.regressor_.predict(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
