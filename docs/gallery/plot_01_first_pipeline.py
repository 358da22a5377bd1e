"""
A first pipeline
================

From sequences to a number, tested on families of proteins that the model has not seen. The data
are enzymes and the temperature at which they work best; the language model is the small one that
comes with the package.
"""

# %%
# The data
# --------
# Three hundred enzymes of similar length keep this page fast. Nothing else is special about them:
# take the length filter away and everything below works on all 2,898.

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler

from esmlearn.datasets import load_optimum_temperature
from esmlearn.embedding import ESMEmbedder
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.pipeline import Pipeline
from esmlearn.plotting import PredictionErrorByRegionDisplay

MODEL = "esmlearn_mini_v3"

sequences, temperature = load_optimum_temperature(return_X_y=True)
some = np.array([300 <= len(sequence) < 340 for sequence in sequences])
sequences, temperature = sequences[some], temperature[some]
print(f"{len(sequences)} enzymes, {temperature.min():.0f} to {temperature.max():.0f} °C")
print(sequences[0][:60], "...")

# %%
# The model
# ---------
# One object takes sequences and returns temperatures. Whatever scikit-learn does to it, it does to
# the whole method: when a fold is left out, it is left out of the scaling as well.

model = Pipeline(
    [
        ("embed", ESMEmbedder(MODEL)),
        ("scale", StandardScaler()),
        ("ridge", Ridge(alpha=300.0)),
    ]
)
model

# %%
# The test
# --------
# ``CDHitGroupSplitter`` aligns all proteins with each other and keeps homologs in one fold, so
# that every prediction below was made by a model that had seen no relative of the protein.

folds = CDHitGroupSplitter(n_splits=5, identity=0.3, random_state=0)
predicted = cross_val_predict(model, sequences, temperature, cv=folds)
error = np.abs(predicted - temperature).mean()
guess = np.abs(np.median(temperature) - temperature).mean()
print(f"mean absolute error: {error:.1f} °C (always saying the median: {guess:.1f} °C)")

# %%
# Each sequence went through the language model once. The other four folds, and any later run, read
# the vector from the cache.

_ = PredictionErrorByRegionDisplay.from_predictions(
    temperature, predicted, name="optimum temperature", unit="°C"
)

# %%
# The cloud is flatter than the dashed line: what is hot is predicted too cold. That is what an
# average does where few training proteins are hot, and what the examples on
# :ref:`regions <sphx_glr_auto_gallery_plot_06_target_regions.py>` and
# :ref:`resampling <sphx_glr_auto_gallery_plot_07_resampling_grid.py>` are about.
#
# Now train on everything, and ask about a protein of your own.

model.fit(sequences, temperature)
mine = "MKRILVTGGAGFIGSHLVERLLAEGHEVVVLDNLSTGKKENL" * 7
print(f"{model.predict([mine])[0]:.0f} °C")
