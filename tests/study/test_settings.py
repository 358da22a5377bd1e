import numpy as np
from sklearn.linear_model import Ridge

from esmlearn.study._settings import settings_of_pieces


def test_whatever_decides_a_piece_is_in_its_settings(fitted):
    data = fitted.data_
    pairs = [(np.arange(4), np.arange(4, 6)), (np.arange(2, 6), np.arange(2))]

    def settings(splits=None, fingerprint="a", model=None, **parameters):
        return settings_of_pieces(
            data,
            splits or {"homology": pairs},
            fingerprint=fingerprint,
            models={"ridge": model or Ridge()},
            parameters=parameters,
        )

    assert settings() == settings()
    assert settings(n_jobs=1, verbose=2) == settings()
    changed = [
        settings({"homology": pairs[::-1]}),
        settings(fingerprint="b"),
        settings(model=Ridge(2.0)),
        settings(identity=0.4),
    ]
    assert all(other != settings() for other in changed)
