import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from esmlearn.embedding import ESMVariantScorer, write_untrained_checkpoint
from esmlearn.metrics import ranking_scorers, spearman
from esmlearn.variants import (
    MutationOneHotEncoder,
    VariantSplitter,
    apply_mutations,
    augmented_ridge,
    check_variants,
)

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
WILD_TYPE = "MKTAYIAKQRQISFVKSHFSRQ"


class NoisyScore(TransformerMixin, BaseEstimator):
    """Effects of mutations with noise, added up: what a language model knows of them."""

    def __init__(self, effects=None):
        self.effects = effects

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        variants = check_variants(X)
        return np.array([[sum(self.effects[str(m)] for m in ms)] for ms in variants])


@pytest.fixture(scope="module")
def data():
    """Return variants of an additive protein, their targets, and a score that knows a part."""
    rng = np.random.default_rng(0)
    names = [
        f"{own}{i}{new}" for i, own in enumerate(WILD_TYPE, 1) for new in RESIDUES if new != own
    ]
    effects = dict(zip(names, rng.normal(size=len(names)), strict=True))
    variants = rng.permutation(
        [*names, *(":".join(pair) for pair in zip(names, names[19:], strict=False))][::3]
    )
    y = np.array([sum(effects[m] for m in variant.split(":")) for variant in variants])
    noisy = {name: 0.1 * (effect + rng.normal()) for name, effect in effects.items()}
    return variants.tolist(), y + 0.1 * rng.normal(size=len(y)), NoisyScore(noisy)


def one_hot_ridge():
    return make_pipeline(MutationOneHotEncoder(), RidgeCV(np.logspace(-2, 3, 11)))


def test_the_score_helps_where_few_variants_were_measured(data):
    variants, y, score = data
    few = slice(0, 30)
    augmented = augmented_ridge(score).fit(variants[few], y[few]).predict(variants[30:])
    one_hot = one_hot_ridge().fit(variants[few], y[few]).predict(variants[30:])
    assert spearman(y[30:], augmented) > 0.6
    assert spearman(y[30:], one_hot) < 0.3


def test_the_mutations_help_where_they_were_measured(data):
    """Every mutation twice, with noise: better than the score, and no worse than one-hot."""
    variants, y, score = data
    measured, repeated = y + np.random.default_rng(1).normal(0, 0.5, (2, len(y)))
    augmented = spearman(repeated, augmented_ridge(score).fit(variants, measured).predict(variants))
    one_hot = spearman(repeated, one_hot_ridge().fit(variants, measured).predict(variants))
    assert augmented > spearman(repeated, score.fit(variants).transform(variants)[:, 0]) + 0.05
    assert augmented > one_hot - 0.01


def test_the_score_is_hardly_penalised(data):
    variants, y, score = data
    alpha = 1000.0
    model = augmented_ridge(score, alphas=[alpha]).fit(variants, y)
    score_coefficient = model[-1].coef_[-1] * 100
    standardised = score.transform(variants)[:, 0]
    standardised = (standardised - standardised.mean()) / standardised.std()
    # With so strong a penalty on mutations, what is left is the regression on the score.
    slope = np.polyfit(standardised, y, 1)[0]
    assert score_coefficient == pytest.approx(slope, rel=0.05)
    assert np.abs(model[-1].coef_[:-1]).max() < 0.01


def test_wild_type_and_offset_reach_the_encoder(tmp_path, data):
    path = write_untrained_checkpoint(tmp_path, n_layers=1, width=16, n_heads=2)
    scorer = ESMVariantScorer(path, wild_type=WILD_TYPE)
    variants, y = data[0][:100], data[1][:100]
    expected = augmented_ridge(scorer, wild_type=WILD_TYPE).fit(variants, y).predict(variants)
    sequences = apply_mutations(WILD_TYPE, variants)
    model = augmented_ridge(scorer, wild_type=WILD_TYPE)
    np.testing.assert_allclose(model.fit(sequences, y).predict(sequences), expected)
    shifted = [
        ":".join(str(m._replace(position=m.position + 7)) for m in ms)
        for ms in check_variants(variants)
    ]
    model = augmented_ridge(scorer.set_params(offset=7), wild_type=WILD_TYPE, offset=7)
    np.testing.assert_allclose(model.fit(shifted, y).predict(shifted), expected)


def test_is_cross_validated(data):
    variants, y, score = data
    model = clone(augmented_ridge(score))
    scoring = ranking_scorers()["spearman"]
    scores = cross_val_score(
        model, variants, y, cv=VariantSplitter(3, scheme="random"), scoring=scoring
    )
    assert scores.min() > 0.5
