"""scikit-learn's own checks; those it does not run for string input are run by name."""

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator

from esmlearn.embedding import ESMEmbedder, ESMVariantScorer

BY_NAME = [
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimator_repr",
    "check_valid_tag_types",
    "check_estimator_tags_renamed",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
]


@pytest.fixture(params=["ESMEmbedder", "ESMVariantScorer"])
def estimator(request, checkpoint):
    if request.param == "ESMEmbedder":
        return ESMEmbedder(checkpoint)
    return ESMVariantScorer(checkpoint, wild_type="MKTAYIAKQR")


@pytest.mark.parametrize("name", BY_NAME)
def test_a_check_by_name(name, estimator):
    getattr(estimator_checks, name)(type(estimator).__name__, estimator)


@pytest.mark.filterwarnings("ignore:Can't test estimator")  # most need numbers
def test_every_check_that_is_generated(estimator):
    for instance, check in estimator_checks_generator(estimator, legacy=True):
        check(instance)
