"""
A grid over resampling strategies
=================================

Is over-sampling worth it, which kind, and how much of it? That is a search like any other:
the sampler is a step of the pipeline, its kind and level are parameters, and the score looks at the
rare region. Synthetic rows are only ever trained on; every score is from real proteins of families
that the model has not seen.
"""

# %%
# The search
# ----------
# ``None`` switches resampling off, so that "nothing" competes on the same folds.

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from esmlearn.datasets import load_optimum_temperature
from esmlearn.embedding import ESMEmbedder
from esmlearn.metrics import make_region_scorer
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.pipeline import Pipeline
from esmlearn.plotting import ResamplingLevelDisplay

MODEL = "esmlearn_mini_v3"
HOT = 65.0

sequences, temperature = load_optimum_temperature(return_X_y=True)
some = np.array([300 <= len(sequence) < 340 for sequence in sequences])
sequences, temperature = sequences[some], temperature[some]
print(
    f"{(temperature >= HOT).sum()} of {len(temperature)} enzymes work best at {HOT:.0f} °C or more"
)

model = Pipeline(
    [
        ("embed", ESMEmbedder(MODEL)),
        ("scale", StandardScaler()),
        ("resample", RegionOverSampler(regions=[HOT], rare=[1], random_state=0)),
        ("ridge", Ridge(alpha=300.0)),
    ]
)
grid = [
    {"resample__sampler": [None], "resample__level": [100]},
    {"resample__sampler": ["random", "smote", "adasyn"], "resample__level": [100, 200, 300]},
]
scores = {
    "balanced_mae": make_region_scorer("balanced_mae", regions=[HOT]),
    "recall_hot": make_region_scorer("recall", regions=[HOT], labels=[1]),
    "mae": "neg_mean_absolute_error",
}
folds = CDHitGroupSplitter(n_splits=5, identity=0.3, random_state=0)
search = GridSearchCV(model, grid, cv=folds, scoring=scores, refit="balanced_mae")
search.fit(sequences, temperature)
print("best by balanced error:", search.best_params_)

# %%
# What it brought
# ---------------
# The balanced error is the mean of the errors of both regions, so that the few hot proteins count
# as much as the many others. Bars are the standard deviation between folds.

results = search.cv_results_
table = pd.DataFrame(
    [
        {
            "model": "ridge",
            "resampler": params["resample__sampler"] or "none",
            "level": params["resample__level"],
            "balanced_mae": -results[f"split{fold}_test_balanced_mae"][row],
            "recall_hot": results[f"split{fold}_test_recall_hot"][row],
            "mae": -results[f"split{fold}_test_mae"][row],
        }
        for row, params in enumerate(results["params"])
        for fold in range(5)
    ]
)
_ = ResamplingLevelDisplay.from_results(
    table, "balanced_mae", model="ridge", label="Balanced mean absolute error (°C)"
)

# %%
# More of the hot enzymes are found:

_ = ResamplingLevelDisplay.from_results(
    table, "recall_hot", model="ridge", label="Hot enzymes predicted as hot (share)"
)

# %%
# And what it cost
# ----------------
# The plain error of all proteins grows, because the common ones are predicted a little too hot. A
# search that is scored by it nearly always prefers no resampling, and ignores the rare proteins.

_ = ResamplingLevelDisplay.from_results(
    table, "mae", model="ridge", label="Mean absolute error (°C)"
)
