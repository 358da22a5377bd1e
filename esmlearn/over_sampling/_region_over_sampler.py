"""RegionOverSampler: any over-sampler of imbalanced-learn, for a continuous target."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_consistent_length

from esmlearn.exceptions import DataError
from esmlearn.over_sampling._base import BaseOverSampler
from esmlearn.over_sampling._imblearn.adapter import SAMPLERS, Rows, copies, make_sampler
from esmlearn.over_sampling._imblearn.augmented_rows import NeighborConstraint
from esmlearn.over_sampling._imblearn.fallback import SamplerWithFallback
from esmlearn.over_sampling._regions import TargetRegions
from esmlearn.utils._targets import check_no_missing


class RegionOverSampler(BaseOverSampler):
    """Add synthetic rows to the rare regions of a continuous target, or to rare classes.

    Any over-sampler of imbalanced-learn does the work, as if regions were classes; the features of
    the new rows are, bit for bit, what it makes by itself. Their targets are interpolated together
    with the features: a row that lies a third of the way between two proteins gets a target a
    third of the way between theirs. The same object over-samples rare classes.

    Parameters
    ----------
    sampler : str, sampler or None, default="smote"
        ``"random"``, ``"smote"``, ``"adasyn"``, ``"borderline"``, ``"svm"``, ``"kmeans"``, or an
        over-sampler; its `sampling_strategy` is replaced. ``None`` switches resampling off.
    level : float, dict or "balance", default=100
        Rows to add in percent of the members of a region: 100, 200 and 300 give 2, 3 and 4 times as
        many. A dict gives a percentage per region number or class and replaces `rare`.
        ``"balance"`` brings every rare region to the size of the largest region.
    regions : TargetRegions, array-like of float or None, default=None
        How a continuous target is divided: an estimator (a clone of it is fitted on the training
        targets), inner edges in units of the target, or ``TargetRegions()``.
    rare : array-like or None, default=None
        Numbers of the regions (or names of the classes) to over-sample. By default those that the
        regions call rare; of classes those with fewer rows than the mean class.
    target : {"auto", "continuous", "classes"}, default="auto"
        What `y` is. ``"auto"``: floating-point numbers are continuous even if they are whole
        (37.0); integers are continuous if they take more than 20 values or `regions` are given;
        the rest is classes.
    families : {"any", "within", "between"}, default="any"
        Which rows are interpolated with which, given the `groups` of `fit_resample` (such as
        homology clusters): any two neighbours, neighbours of one family, or of two families.
    fallback : {"smote", "random", "error"}, default="smote"
        What takes the place of a sampler that fails in a region or makes no rows there.
    n_jobs : int or None, default=None
        Processes for the neighbour searches.
    random_state : int, RandomState instance or None, default=None
        Seed; if given, it replaces that of `sampler`.

    Attributes
    ----------
    regions_ : TargetRegions or None
        The regions of the training targets; None for classes.
    region_names_ : ndarray
        Numbers of the regions, or names of the classes.
    rare_ : ndarray of bool of shape (n_regions,)
        Which regions are over-sampled by default.
    sampling_strategy_ : dict
        Rows asked for in each over-sampled region, originals included.
    n_original_ : int
        Original rows; they come first and unchanged.
    synthetic_region_ : ndarray of shape (n_new,)
        Region (or class) for which each new row was made.
    parents_ : ndarray of int of shape (n_new, 2)
        The two training rows between which each new row lies, twice the same for a copy; -1 where
        it is not known of a foreign sampler.
    sample_indices_ : ndarray of int of shape (n_original + n_new,)
        Training row of each row, if all new rows are copies.
    report_ : DataFrame
        One row per over-sampled region: members, rows asked for and made, the sampler that made
        them, targets outside of the region (SVM-SMOTE extrapolates), and notes on what could not
        be done.

    Warns
    -----
    ResamplingWarning
        When there is nothing rare; when a region has no members (nothing is added), one member
        (it is copied), or at most as many as the sampler wants neighbours (it takes fewer); when a
        sampler fails or makes nothing (`fallback`); when more than 5 % of the rows asked for are
        missing. `report_` keeps the notes.

    See Also
    --------
    GaussianNoiseOverSampler : Copies with noise.
    RegionUnderSampler : Removes rows from the regions that are not rare.
    RelevanceSampler : Draws rows by their relevance.

    Notes
    -----
    The target is appended as an extra column, scaled by an exact power of two. Neighbours, support
    vectors and clusters are found on the true features. Neighbour tables are shared by all
    estimators of a process that are fitted on the same rows, so that further levels of a sampler
    in a grid need no search. Of many dense features most distances are decided in single precision,
    with the same neighbours as in double precision, which imbalanced-learn uses throughout.

    A classifier that is fitted on more rows of a class gives it a higher probability: with `level`
    300 its odds are about four times as high. Divide each class's probability by how many times
    its rows were multiplied, and scale the sum to 1, where probabilities are wanted.

    Features in float16 are computed in float32. Whole-number columns of a frame become floats
    where rows are interpolated.

    References
    ----------
    .. [1] L. Torgo et al., "SMOTE for regression", EPIA 2013, LNCS 8154, 378-389.

    Examples
    --------
    >>> import numpy as np
    >>> from imblearn.over_sampling import SMOTE
    >>> from esmlearn.over_sampling import RegionOverSampler
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(100, 8)), np.r_[rng.normal(37, 3, 90), rng.normal(90, 3, 10)]
    >>> sampler = RegionOverSampler(SMOTE(), level=200, regions=[60.0], random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> X_resampled.shape
    (120, 8)
    >>> bool(y_resampled[100:].min() > 60)
    True
    >>> sampler.report_[["n_members", "n_asked", "n_made", "sampler"]]
            n_members  n_asked  n_made sampler
    region
    1              10       20      20   SMOTE
    """

    # With metadata routing, groups that a splitter asks for do not come here without being asked.
    __metadata_request__fit_resample = {"groups": False}

    _parameter_constraints: dict = {
        **BaseOverSampler._parameter_constraints,
        "sampler": [StrOptions(set(SAMPLERS)), HasMethods(["fit_resample", "set_params"]), None],
        "families": [StrOptions({"any", "within", "between"})],
        "fallback": [StrOptions({"smote", "random", "error"})],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        sampler: Any = "smote",
        *,
        level: float | dict | str = 100,
        regions: TargetRegions | ArrayLike | None = None,
        rare: ArrayLike | None = None,
        target: str = "auto",
        families: str = "any",
        fallback: str = "smote",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.sampler = sampler
        self.level = level
        self.regions = regions
        self.rare = rare
        self.target = target
        self.families = families
        self.fallback = fallback
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit_resample(self, X: Any, y: Any, groups: ArrayLike | None = None) -> tuple[Any, Any]:
        """Append synthetic rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, 1)
            Target.
        groups : array-like of shape (n_samples,), default=None
            Family of each row, needed unless ``families="any"``.

        Returns
        -------
        X_resampled : same type as X, of shape (n_samples + n_new, n_features)
            The original rows, then the new rows ordered by region.
        y_resampled : same type as y, of shape (n_samples + n_new,) or (n_samples + n_new, 1)
            Their targets; a continuous target that is a column stays one, and one of whole numbers
            becomes float64 if it is interpolated.

        Raises
        ------
        DataError
            If a value is missing, the target is constant, a named region does not exist, or
            groups are needed and missing, or one of them is.
        """
        return self._resample(X, y, groups=groups)

    def _fit_resample(self, rows: Rows, groups: ArrayLike | None = None) -> tuple[Any, NDArray]:
        n_new = self._plan()
        if self._is_off or not any(n_new.values()):
            nothing = copies(rows, np.empty(0, dtype=np.intp))
            return self._append(rows, nothing, n_new, used={}, notes={})
        run = SamplerWithFallback(
            rows=rows,
            n_new=n_new,
            names={region: self._region_text(region) for region in n_new},
            fallback=self.fallback,
            seed=self._seed(),
            constraint=self._neighbor_constraint(groups, len(rows.labels)),
            n_jobs=self.n_jobs,
        )
        synthetic = run.run(make_sampler(self.sampler, random_state=run.seed))
        return self._append(rows, synthetic, n_new, used=run.used, notes=run.notes)

    @property
    def _is_off(self) -> bool:
        return self.sampler is None

    @property
    def _makes_copies(self) -> bool:
        if self.sampler is None or self.sampler == "random":
            return True
        is_random = type(self.sampler) is SAMPLERS["random"]
        return bool(is_random and self.sampler.shrinkage is None)

    def _neighbor_constraint(
        self, groups: ArrayLike | None, n_samples: int
    ) -> NeighborConstraint | None:
        if self.families == "any":
            return None
        if groups is None:
            raise DataError(
                f'families="{self.families}" needs the family of each row: pass groups= to '
                "fit_resample. In a pipeline, turn on scikit-learn's metadata routing and call "
                "set_fit_resample_request(groups=True) on this sampler."
            )
        check_consistent_length(groups, np.empty(n_samples))
        check_no_missing(groups, "groups", what="family")
        families = np.unique(np.asarray(groups), return_inverse=True)[1]
        return NeighborConstraint(families, self.families)

    def _seed(self) -> int | None:
        if self.random_state is None:
            return None
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
