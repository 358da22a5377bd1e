"""Augmented ridge regression: one-hot mutations and a score that needs no measurement.

C. Hsu, H. Nisonoff, C. Fannjiang, J. Listgarten, "Learning protein fitness models from evolutionary
and assay-labeled data", Nature Biotechnology 40, 1114-1122 (2022).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from esmlearn.variants._features import MutationOneHotEncoder

# A feature times w has the penalty alpha / w**2: next to nothing, as in the authors' code, where it
# is 1e-8 whatever that of the mutations is.
_WEIGHT = 100.0
_ALPHAS = np.logspace(-2, 3, 11)


def augmented_ridge(
    scorer: Any,
    *,
    wild_type: str | None = None,
    offset: int = 0,
    alphas: ArrayLike = _ALPHAS,
) -> Pipeline:
    """Return a ridge regression on mutations and a zero-shot score.

    The score says what to expect of a mutation before anything was measured, and the columns of
    mutations add what measurements tell of those that were seen [1]_. With few training variants
    the score carries the predictions, with many the mutations do. The score is standardised and its
    coefficient is hardly shrunk, since it is one feature among hundreds.

    Parameters
    ----------
    scorer : transformer
        Returns scores of variants, of shape (n_variants, n_scores), such as an `ESMVariantScorer`.
    wild_type : str, default=None
        The protein that is mutated, for the columns of mutations; see
        :class:`MutationOneHotEncoder`.
    offset : int, default=0
        Position before the first residue of `wild_type`; see :func:`parse_mutations`.
    alphas : array-like of float, default=numpy.logspace(-2, 3, 11)
        Penalties of the columns of mutations, of which leave-one-out errors choose one.

    Returns
    -------
    model : Pipeline
        Steps ``"features"``, a FeatureUnion of ``"mutations"`` and ``"score"``, and ``"ridge"``, a
        RidgeCV. It takes variants as X, mutations or sequences.

    See Also
    --------
    esmlearn.embedding.ESMVariantScorer : Scores of a language model.

    Notes
    -----
    The features ``"score"`` are weighted by 100, so that their penalty is `alpha` / 10,000;
    ``set_params(features__transformer_weights={"score": weight})`` takes another weight.

    References
    ----------
    .. [1] Hsu, C. et al. Learning protein fitness models from evolutionary and assay-labeled data.
       Nature Biotechnology 40, 1114-1122 (2022).

    Examples
    --------
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from esmlearn.variants import augmented_ridge
    >>> def score(variants):
    ...     return [[-1.0 if variant == "WT" else -2.0] for variant in variants]
    >>> model = augmented_ridge(FunctionTransformer(score))
    >>> model.fit(["K2R", "K2E", "T3A", "WT"], [1.0, 0.9, 1.1, 2.0]).predict(["Q9E"]).round(1)
    array([1.])
    """
    features = FeatureUnion(
        [
            ("mutations", MutationOneHotEncoder(wild_type, offset=offset)),
            ("score", make_pipeline(scorer, StandardScaler())),
        ],
        transformer_weights={"score": _WEIGHT},
    )
    return Pipeline([("features", features), ("ridge", RidgeCV(np.asarray(alphas)))])
