"""
Homology folds against random folds
===================================

Proteins come in families. Drawn at random, most test proteins have a close homolog in training,
and a model that looks the relative up seems to understand proteins. Here is how much that is worth,
on the same proteins and with the same model.
"""

# %%
# Two ways to cut
# ---------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from esmlearn.datasets import load_optimum_temperature
from esmlearn.embedding import ESMEmbedder
from esmlearn.model_selection import CDHitGroupSplitter, audit_leakage
from esmlearn.pipeline import make_pipeline
from esmlearn.plotting import LeakageDisplay

MODEL = "esmlearn_mini_v3"

sequences, temperature = load_optimum_temperature(return_X_y=True)
some = np.array([300 <= len(sequence) < 340 for sequence in sequences])
sequences, temperature = sequences[some], temperature[some]

folds = {
    "random folds": KFold(5, shuffle=True, random_state=0),
    "homology folds": CDHitGroupSplitter(5, identity=0.3, random_state=0),
}

# %%
# What leaks
# ----------
# ``audit_leakage`` aligns test proteins with their training part, independently of how the folds
# were made, and counts those with a relative there: at least 30 % identity over at least half of
# the shorter protein.

audits = {name: audit_leakage(sequences, cv, y=temperature) for name, cv in folds.items()}
_ = LeakageDisplay.from_shares(audits)

# %%
# What it is worth
# ----------------
# The nearest neighbour in the space of embeddings is as close to looking a homolog up as a model
# can be.

model = make_pipeline(ESMEmbedder(MODEL), StandardScaler(), KNeighborsRegressor(1))
predicted = {
    name: cross_val_predict(model, sequences, temperature, cv=cv) for name, cv in folds.items()
}
scores = {name: mean_absolute_error(temperature, values) for name, values in predicted.items()}
for name, score in scores.items():
    print(f"{name}: mean absolute error {score:.1f} °C")

# %%
# Which proteins make the difference? The audit holds each test protein's closest homolog in
# training. The closer it is, the more there is to look up.

nearest = audits["random folds"].nearest.drop_duplicates("test_row").set_index("test_row")
identity = nearest["max_identity"].reindex(range(len(sequences))).fillna(0).to_numpy()
error = np.abs(predicted["random folds"] - temperature)
bounds = [0, 0.3, 0.5, 0.7, 1.01]
names = ["none", "30 to 50 %", "50 to 70 %", "70 % and more"]
bins = np.digitize(identity, bounds) - 1

figure, ax = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
means = [error[bins == i].mean() for i in range(4)]
bars = ax.bar(names, means, color="#0072B2")
ax.bar_label(bars, [f"{m:.1f}\nn = {(bins == i).sum()}" for i, m in enumerate(means)])
ax.margins(y=0.25)
ax.spines[["top", "right"]].set_visible(False)
_ = ax.set(xlabel="Identity to the closest training protein", ylabel="Mean absolute error (°C)")

# %%
# A protein engineer's next protein is of the first kind, or it would not need a model.
