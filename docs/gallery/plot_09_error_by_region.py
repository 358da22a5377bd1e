"""
The error of every region
=========================

``PredictionErrorByRegionDisplay`` shows a regressor twice: predicted against measured, fold by
fold, and the mean absolute error of each region of the target.
"""

# %%
# Two models
# ----------
# A ridge regression, and ``TwoStageRegressor``: a classifier first decides whether a protein is
# hot, and then one of two ridge regressions predicts how hot.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler

from esmlearn.datasets import load_optimum_temperature
from esmlearn.embedding import ESMEmbedder
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.over_sampling import TargetRegions, TwoStageRegressor
from esmlearn.pipeline import make_pipeline
from esmlearn.plotting import PredictionErrorByRegionDisplay

MODEL = "esmlearn_mini_v3"

sequences, temperature = load_optimum_temperature(return_X_y=True)
some = np.array([300 <= len(sequence) < 340 for sequence in sequences])
sequences, temperature = sequences[some], temperature[some]

folds = CDHitGroupSplitter(n_splits=5, identity=0.3, random_state=0)
models = {
    "ridge": Ridge(alpha=300.0),
    "two stages": TwoStageRegressor(regions=[65.0], rare=[1], beta=1.0, random_state=0),
}
predicted = {
    name: cross_val_predict(
        make_pipeline(ESMEmbedder(MODEL), StandardScaler(), regressor),
        sequences,
        temperature,
        cv=folds,
    )
    for name, regressor in models.items()
}
fold = np.empty(len(sequences), int)
for number, (_, test) in enumerate(folds.split(sequences, temperature)):
    fold[test] = number

# %%
# Predicted against measured
# --------------------------
# Dotted lines are the edges of the regions. Colour and marker tell the fold in which a protein was
# tested: a fold that lies apart from the others would be seen here.

regions = TargetRegions("edges", edges=[30.0, 50.0, 65.0], rare=[3]).fit(temperature)
figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained", sharex=True, sharey=True)
for ax, (name, values) in zip(axes, predicted.items(), strict=True):
    PredictionErrorByRegionDisplay.from_predictions(
        temperature,
        values,
        regions=regions,
        folds=fold,
        ax=ax,
        name="optimum temperature",
        unit="°C",
    )
    ax.set_title(name)

# %%
# The error of each region
# ------------------------

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
for ax, (name, values) in zip(axes, predicted.items(), strict=True):
    display = PredictionErrorByRegionDisplay.from_predictions(
        temperature,
        values,
        regions=regions,
        kind="error",
        ax=ax,
        name="optimum temperature",
        unit="°C",
    )
    errors = display.region_errors()
    overall = np.abs(values - temperature).mean()
    ax.set_title(name)
    print(f"{name}: all {overall:.1f} °C, mean of the regions {errors.mean():.1f} °C")

# %%
# The error of all proteins is dominated by the common ones. The mean of the regions, which
# ``balanced_mean_absolute_error`` returns, is not.
