from sklearn.utils.estimator_checks import parametrize_with_checks

from esmlearn.neural_network import MLPClassifier, MLPRegressor


@parametrize_with_checks([MLPRegressor((50,), max_iter=40), MLPClassifier((50,), max_iter=40)])
def test_sklearn_check(estimator, check):
    check(estimator)
