"""RegionLogisticRegression: a classifier of regions that answers in units of the target."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.linear_model import LogisticRegression
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from esmlearn.over_sampling._regions import make_regions


class RegionLogisticRegression(RegressorMixin, BaseEstimator):
    """Logistic regression on the regions of a continuous target.

    The baseline of a protein engineer who asks "is it thermophilic?": a region is predicted, and
    answered with the mean training target of that region.

    Parameters
    ----------
    C : float, default=0.1
        Inverse strength of the L2 penalty.
    regions : TargetRegions, array-like of float or None, default=None
        How the target is divided: an estimator (a clone is fitted on the training targets), inner
        edges in units of the target, or ``TargetRegions()``.
    max_iter : int, default=500
        Most iterations of the solver.

    Attributes
    ----------
    regions_ : TargetRegions
        The fitted regions.
    classifier_ : LogisticRegression
        The classifier of regions; None if the training targets lie in one region.
    region_means_ : ndarray of shape (n_regions,)
        What is answered for each region, in units of the target.
    n_iter_ : int
        Iterations of the solver.
    n_features_in_ : int
        Number of features.

    Examples
    --------
    >>> import numpy as np
    >>> from esmlearn.study import RegionLogisticRegression
    >>> X = np.arange(40.0)[:, None]
    >>> y = np.r_[np.full(30, 37.0), np.full(10, 90.0)]
    >>> model = RegionLogisticRegression(C=10.0, regions=[60.0]).fit(X, y)
    >>> model.predict([[0.0], [39.0]])
    array([37., 90.])
    """

    _parameter_constraints: dict = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "regions": [HasMethods(["fit", "region"]), "array-like", None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, C: float = 0.1, *, regions: Any = None, max_iter: int = 500) -> None:
        self.C = C
        self.regions = regions
        self.max_iter = max_iter

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any) -> "RegionLogisticRegression":
        """Learn regions and classifier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Continuous target.

        Returns
        -------
        self : RegionLogisticRegression
            The fitted estimator.
        """
        X, y = validate_data(self, X, y, y_numeric=True, ensure_min_samples=2)
        self.regions_ = make_regions(self.regions).fit(y)
        labels = self.regions_.region(y)
        present = np.unique(labels)
        means = np.full(self.regions_.n_regions_, float(np.mean(y)))
        means[present] = [np.mean(y[labels == region]) for region in present]
        self.region_means_ = means
        self.classifier_, self.n_iter_ = None, 1
        if len(present) > 1:
            classifier = LogisticRegression(C=self.C, max_iter=self.max_iter)
            self.classifier_ = classifier.fit(X, labels)
            self.n_iter_ = int(classifier.n_iter_.max())
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict the mean target of the most likely region.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            In units of the target.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        if self.classifier_ is None:
            return np.full(len(X), self.region_means_[0])
        return self.region_means_[self.classifier_.predict(X)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # It answers with as many values as there are regions.
        tags.regressor_tags.poor_score = True
        return tags
