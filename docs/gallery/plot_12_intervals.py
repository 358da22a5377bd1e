"""
Intervals that hold where proteins are rare
===========================================

A prediction without an error is half of one. The errors that a model makes on protein families it
has not seen give intervals; calibrated in each region of the target, they hold for the rare
proteins, too.
"""

# %%
# One quantile of all errors
# --------------------------
# ``HomologyConformalRegressor`` fits the model on homology folds and takes the errors of the
# proteins that each fold left out. With one quantile for all the level holds on average. Half of
# the families are set aside for the test.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from esmlearn.clustering import nearest_homologs
from esmlearn.conformal import HomologyConformalRegressor, coverage_report
from esmlearn.datasets import load_optimum_temperature
from esmlearn.model_selection import CDHitShuffleSplit
from esmlearn.plotting import CoverageDisplay, ErrorByIdentityDisplay

sequences, temperature = load_optimum_temperature(return_X_y=True)
some = np.array([250 <= len(sequence) < 350 for sequence in sequences])
sequences, temperature = sequences[some], temperature[some]


def composition(sequences):
    """Shares of the residues: enough for an example."""
    return np.array([[s.count(r) / len(s) for r in "ACDEFGHIKLMNPQRSTVWY"] for s in sequences])


model = make_pipeline(FunctionTransformer(composition), StandardScaler(), RidgeCV())
halves = CDHitShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
train, test = next(halves.split(sequences, temperature))

plain = HomologyConformalRegressor(model).fit(sequences[train], temperature[train])
edges = [65.0]
kept = coverage_report(temperature[test], plain.predict_interval(sequences[test]), regions=edges)
print(kept[["count", "coverage", "size"]].round(2).to_string())

# %%
# A quantile for each region
# --------------------------
# With ``regions`` the level is kept above and below 65 °C by itself.

regional = HomologyConformalRegressor(model, regions=edges)
regional.fit(sequences[train], temperature[train])
held = coverage_report(temperature[test], regional.predict_set(sequences[test]), regions=edges)
print(held[["count", "coverage", "size"]].round(2).to_string())

figure, axes = plt.subplots(1, 2, figsize=(10, 2.6), layout="constrained", sharex=True)
for ax, table, title in zip(axes, [kept, held], ["one quantile", "per region"], strict=True):
    CoverageDisplay.from_report(table, ax=ax)
    ax.set_title(title)

# %%
# How wrong at which distance
# ---------------------------
# ``nearest_homologs`` finds for each protein the nearest one of training. On a random split many
# have a relative there, and errors are smaller the nearer it is. A study keeps this table, and
# ``esmlearn predict`` tells each protein the error of its distance.

order = np.random.default_rng(0).permutation(len(sequences))
half = len(order) // 2
known, new = order[:half], order[half:]
model.fit(sequences[known], temperature[known])
errors = np.abs(temperature[new] - model.predict(sequences[new]))
identity = nearest_homologs(sequences[new], sequences[known])["identity"].fillna(0).to_numpy()
lines = []
for low, high in [(0, 0.3), (0.3, 0.5), (0.5, 1.01)]:
    inside = errors[(identity >= low) & (identity < high)]
    deviation = 1.96 * inside.std() / np.sqrt(len(inside))
    lines.append(
        {
            "identity_low": low,
            "identity_high": min(high, 1),
            "count": len(inside),
            "error": inside.mean(),
            "low": inside.mean() - deviation,
            "high": inside.mean() + deviation,
        }
    )
_ = ErrorByIdentityDisplay.from_table(pd.DataFrame(lines), unit="°C")
