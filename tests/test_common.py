"""Every estimator against every check there is; each exception has its reason in words.

scikit-learn's and imbalanced-learn's checks generate numeric tables. Estimators over sequences,
splitters and the like run, by name, those checks that need no data.
"""

import importlib
import inspect
import pickle

import pytest
from imblearn.utils.estimator_checks import estimator_checks_generator as imblearn_checks
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator as sklearn_checks

import esmlearn
from esmlearn.clustering import CDHitClusterer
from esmlearn.conformal import HomologyConformalClassifier, HomologyConformalRegressor
from esmlearn.embedding import ESMEmbedder, ESMVariantScorer
from esmlearn.model_selection import (
    CDHitGroupSplitter,
    CDHitShuffleSplit,
    LeaveOneComponentOut,
    RepeatedCDHitGroupSplitter,
)
from esmlearn.neural_network import MLPClassifier, MLPRegressor
from esmlearn.over_sampling import (
    DenseWeightRegressor,
    GaussianNoiseOverSampler,
    RegionOverSampler,
    RegionUnderSampler,
    RelevanceSampler,
    TargetRegions,
    TwoStageRegressor,
)
from esmlearn.pipeline import Pipeline
from esmlearn.study import RegionLogisticRegression, SequenceAndCovariates, Study
from esmlearn.variants import (
    MutationOneHotEncoder,
    MutationPropertyEncoder,
    VariantEmbedder,
    VariantSplitter,
)

ON_NUMBERS = [
    TwoStageRegressor(random_state=0),
    RegionLogisticRegression(),
    HomologyConformalRegressor(Ridge(), cv=KFold(3), confidence_level=0.5),
    HomologyConformalClassifier(LogisticRegression(), cv=KFold(3), confidence_level=0.5),
]
EQUIVALENCE = [
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
]
SHUFFLED = dict.fromkeys(
    EQUIVALENCE, "shuffles the rows, and rows in another order make other batches"
)
WEIGHTED = [
    (MLPRegressor((50,), max_iter=40), SHUFFLED),
    (MLPClassifier((50,), max_iter=40), SHUFFLED),
    (
        DenseWeightRegressor(),
        dict.fromkeys(
            EQUIVALENCE,
            "wants a row of weight 2 to be two rows; the density of the target counts each once",
        ),
    ),
]

CONTINUOUS = {
    "check_target_type": "wants continuous targets to be refused; they are what this is for"
}
ONLY_CONTINUOUS = CONTINUOUS | {
    "check_samplers_multiclass_ova": "wants classes; relevance is defined for quantities only"
}
NOISY = CONTINUOUS | {
    "check_samplers_pandas_sparse": "wants sparse columns to stay sparse; noise would fill them"
}
SAMPLERS = [
    (RegionOverSampler(random_state=0), CONTINUOUS),
    (RegionOverSampler("random", random_state=0), CONTINUOUS),
    (RegionOverSampler("adasyn", random_state=0), CONTINUOUS),
    (RegionOverSampler("borderline", random_state=0), CONTINUOUS),
    (RegionOverSampler(None), CONTINUOUS),
    (RegionUnderSampler(random_state=0), CONTINUOUS),
    (GaussianNoiseOverSampler(random_state=0), NOISY),
    (RelevanceSampler(random_state=0), ONLY_CONTINUOUS),
]

NOT_ON_TABLES = [
    CDHitClusterer(),
    ESMEmbedder(),
    ESMVariantScorer(),
    CDHitGroupSplitter(),
    CDHitShuffleSplit(),
    LeaveOneComponentOut(),
    RepeatedCDHitGroupSplitter(),
    TargetRegions(),
    SequenceAndCovariates(None, numbers=["ogt"]),
    Study(),
    MutationOneHotEncoder(),
    MutationPropertyEncoder(),
    VariantEmbedder(ESMEmbedder()),
    VariantSplitter(),
]
WITHOUT_DATA = [
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
]

# The checks seed an estimator's own random_state, not its steps'.
PIPELINE = Pipeline(
    [("scale", StandardScaler()), ("net", MLPRegressor((50,), max_iter=40, random_state=0))]
)
IN_STEPS = dict.fromkeys(
    ["check_estimators_overwrite_params", "check_dont_overwrite_parameters"],
    "scikit-learn's Pipeline keeps fitted transformers in `steps`, and so does every subclass",
)


def test_no_estimator_is_forgotten():
    listed = [
        *ON_NUMBERS,
        *(estimator for estimator, _ in [*WEIGHTED, *SAMPLERS]),
        *NOT_ON_TABLES,
        PIPELINE,
    ]
    public = {
        value
        for room in set(esmlearn.__all__) - {"__version__"}
        for module in [importlib.import_module(f"esmlearn.{room}")]
        for value in (getattr(module, name) for name in module.__all__)
        if inspect.isclass(value) and issubclass(value, BaseEstimator)
    }
    assert public == {type(estimator) for estimator in listed}


def _generated_checks():
    for estimator in ON_NUMBERS:
        yield from sklearn_checks(estimator)
    for estimator, expected in WEIGHTED:
        yield from sklearn_checks(estimator, expected_failed_checks=expected, mark="xfail")
    yield from sklearn_checks(PIPELINE, expected_failed_checks=IN_STEPS, mark="xfail")
    for sampler, expected in SAMPLERS:
        for make in (sklearn_checks, imblearn_checks):
            yield from make(sampler, expected_failed_checks=expected, mark="xfail")


def _name(value):
    """Name a test after the estimator's class and the check."""
    if isinstance(value, BaseEstimator):
        return type(value).__name__
    return getattr(value, "func", value).__name__


# The checks' data have no rare region as often as not, and the samplers say so.
@pytest.mark.filterwarnings("ignore::esmlearn.exceptions.ResamplingWarning")
@pytest.mark.parametrize(("estimator", "check"), list(_generated_checks()), ids=_name)
def test_generated_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", WITHOUT_DATA)
@pytest.mark.parametrize("estimator", NOT_ON_TABLES, ids=_name)
def test_check_without_data(estimator, name):
    getattr(estimator_checks, name)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("estimator", NOT_ON_TABLES, ids=_name)
def test_unfitted_estimator_survives_clone_and_pickle(estimator):
    for copy in (clone(estimator), pickle.loads(pickle.dumps(estimator))):
        assert str(copy.get_params()) == str(estimator.get_params())
        assert type(estimator).__name__ in repr(copy)
