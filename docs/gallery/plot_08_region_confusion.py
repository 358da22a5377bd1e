"""
Which regions are taken for which
=================================

A mean error of 12 °C says nothing about the enzymes one is after. ``RegionConfusionDisplay`` reads
a regressor as a finder: of the proteins in each region of the target, how many are predicted where?
"""

# %%
# A regressor that minimises the error
# ------------------------------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler

from esmlearn.datasets import load_optimum_temperature
from esmlearn.embedding import ESMEmbedder
from esmlearn.metrics import region_report
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.pipeline import make_pipeline
from esmlearn.plotting import RegionConfusionDisplay

MODEL = "esmlearn_mini_v3"
EDGES = [30.0, 50.0, 65.0]

sequences, temperature = load_optimum_temperature(return_X_y=True)
some = np.array([300 <= len(sequence) < 340 for sequence in sequences])
sequences, temperature = sequences[some], temperature[some]
folds = CDHitGroupSplitter(n_splits=5, identity=0.3, random_state=0)

plain = make_pipeline(ESMEmbedder(MODEL), StandardScaler(), Ridge(alpha=300.0))
predicted = cross_val_predict(plain, sequences, temperature, cv=folds)
_ = RegionConfusionDisplay.from_predictions(temperature, predicted, regions=EDGES, unit="°C")

# %%
# Each row adds up to 100 %. Nearly everything is predicted in the second region, where most
# proteins are: the mean absolute error likes that, and the bottom row shows what it means for the
# hot ones.

# %%
# The same with over-sampling of the rare regions
# -----------------------------------------------
# ``RegionOverSampler`` adds interpolated proteins to the outer regions of each training part.

sampler = RegionOverSampler("smote", level=300, regions=EDGES, rare=[0, 3], random_state=0)
balanced = make_pipeline(ESMEmbedder(MODEL), StandardScaler(), sampler, Ridge(alpha=300.0))
resampled = cross_val_predict(balanced, sequences, temperature, cv=folds)

figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for ax, values, title in zip(
    axes, [predicted, resampled], ["no resampling", "SMOTE, +300 %"], strict=True
):
    RegionConfusionDisplay.from_predictions(temperature, values, regions=EDGES, unit="°C", ax=ax)
    ax.set_title(title)

# %%
# Precision, recall and error of every region as a table:

columns = ["low", "high", "support", "predicted", "precision", "recall", "mae"]
for title, values in (("no resampling", predicted), ("SMOTE, +300 %", resampled)):
    print(title)
    print(region_report(temperature, values, regions=EDGES)[columns].round(2).to_string())
